"""The API and the engine as two servers, as their images start them: that is what the manifests make of them.

The API's image has neither torch nor scipy, so they cannot be imported in that process here either.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tiny_policy import write_tiny_policy

pytestmark = pytest.mark.integration

START_LIMIT_S = 240
REPOSITORY = Path(__file__).resolve().parents[3]
NOT_IN_THE_API_IMAGE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "vllm", "scipy", "kfp"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
"""


def image_command(dockerfile, port):
    """What the image starts, but on loopback and on a port that is free here."""
    (written,) = re.findall(r"^CMD (\[.*\])$", (REPOSITORY / dockerfile).read_text(), re.MULTILINE)
    program, *arguments = json.loads(written)
    assert program == "bentoml"
    here = {"0.0.0.0": "127.0.0.1", "3000": str(port)}
    return [sys.executable, "-m", "bentoml", *(here.get(argument, argument) for argument in arguments)]


@contextmanager
def serving(dockerfile, folder, **environment):
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "GREAM_STATE": str(folder / "state"),
        **environment,
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(image_command(dockerfile, port), env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        assert server.wait(timeout=60) == 0, (folder / "log").read_text()


def status(url):
    try:
        return httpx.get(url, timeout=10).status_code
    except httpx.TransportError:
        return None


def wait_for(url, code, folder):
    deadline = time.monotonic() + START_LIMIT_S
    while status(url) != code:
        assert time.monotonic() < deadline, (folder / "log").read_text()[-6_000:]
        time.sleep(0.2)


def test_the_api_answers_with_an_engine_elsewhere_and_says_when_it_is_gone(tmp_path):
    item_ids = write_tiny_policy(tmp_path / "policy")
    (tmp_path / "sitecustomize.py").write_text(NOT_IN_THE_API_IMAGE)
    with ExitStack() as engines:
        engine = engines.enter_context(
            serving("serving/engine/Dockerfile", tmp_path / "engine", GREAM_POLICY=str(tmp_path / "policy"))
        )
        alone = {"GREAM_ENGINE_URL": engine, "GREAM_POLICY": "/not/on/this/machine", "PYTHONPATH": str(tmp_path)}
        with serving("serving/Dockerfile", tmp_path / "api", **alone) as api:
            wait_for(f"{api}/readyz", 200, tmp_path / "api")
            ask = {"history": item_ids[:2], "k": 3}
            answer = httpx.post(f"{api}/recommend", json=ask, timeout=60)
            assert answer.status_code == 200, answer.text
            assert len({item["item_id"] for item in answer.json()["items"]} - set(item_ids[:2])) == 3
            engines.close()
            gone = httpx.post(f"{api}/recommend", json=ask, timeout=60)
            assert (gone.status_code, gone.json()["code"]) == (503, "engine_not_ready")
            wait_for(f"{api}/readyz", 503, tmp_path / "api")
            assert status(f"{api}/livez") == 200
