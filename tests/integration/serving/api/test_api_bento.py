"""`bentoml build`: the bento starts from the built artefact alone, pointed at a policy."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from api_server import free_port, running

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[4]


def test_the_bento_serves_with_nothing_else_from_the_repository(shop, tmp_path):
    home = tmp_path / "home"
    environment = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    build = subprocess.run(
        [bentoml, "build", "--output", "tag", str(ROOT)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (bento,) = (home / "bentos" / "gream").glob("*/src")
    # A version that only this copy has: whoever answers with it was read from here.
    (bento / "gream" / "__init__.py").write_text('"""GREAM."""\n\n__version__ = "0.0.0+bento"\n')
    assert (bento / "serving" / "page" / "index.html").is_file()
    assert not list(bento.rglob("*.safetensors"))
    command = [bentoml, "serve", str(bento.parent), "--host", "127.0.0.1", "--port", str(port := free_port())]
    with running(command, tmp_path, port, GREAM_POLICY=str(shop / "policy"), **environment) as server:
        server.wait_until_ready()
        with server.client() as client:
            assert client.get("/openapi.json").json()["info"]["version"] == "0.0.0+bento"
            answer = client.post("/recommend", json={"history": ["item-0"], "k": 3}).json()
            assert len(answer["items"]) == 3
            assert client.get("/").status_code == 200
        for service in ("gream", "gream_engine"):
            assert server.worker(service).cwd() == str(bento)
        assert server.stop() == 0


def test_the_bento_asks_for_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *(line for name in ("serve", "engine", "policy") for line in extras[name])}
    wanted = {line for line in wanted if not re.match(r"gream\[", line)}
    assert set(yaml.safe_load((ROOT / "bentofile.yaml").read_text())["python"]["packages"]) == wanted
