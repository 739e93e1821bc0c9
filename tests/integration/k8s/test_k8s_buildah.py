"""The API's image is really built, looked into, and started as its pod starts it."""

import json
import os
import signal
import subprocess
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from k8s_local_pod import free_ports

import gream

pytestmark = pytest.mark.integration

PREFIX = "localhost/gream-test"


def output(*command, **settings):
    run = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert run.returncode == 0, run.stderr[-4_000:]
    return run.stdout.strip()


@pytest.fixture(scope="module")
def image(base_image, repository):
    """Built as `scripts/build-images` does; `BUILDAH_ARGS` says how this machine reaches a package index."""
    isolation = f"--isolation chroot --network host {os.environ.get('BUILDAH_ARGS', '')}"
    build = repository / "scripts" / "build-images"
    output(build, "cpu", PREFIX, "api", env=os.environ | {"PYTHON_IMAGE": base_image, "BUILDAH_ARGS": isolation})
    tag = f"{PREFIX}/api:{gream.__version__}"
    yield tag
    output("buildah", "rmi", "--force", tag)


@pytest.fixture(scope="module")
def inside(image, repository):
    """Runs a command in the image as pods do: as its user, on a read-only root with an empty /tmp."""
    return lambda *command: output(repository / "scripts" / "run-image", image, *command)


@pytest.fixture(scope="module")
def config(image):
    return json.loads(output("buildah", "inspect", "--type", "image", image))["Docker"]["config"]


def test_what_the_image_says_of_itself(config, repository):
    revision = output("git", "-C", repository, "rev-parse", "HEAD")
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.version"] == gream.__version__
    assert config["Labels"]["org.opencontainers.image.revision"] == revision
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["ExposedPorts"] == {"3000/tcp": {}}


def test_it_can_serve_without_what_it_leaves_out(inside):
    """Everything of the API imports; torch, pip and a compiler are not there; nothing but /tmp can be written to."""
    looked = json.loads(
        inside(
            "python",
            "-c",
            "import json, os, shutil, importlib.util as u\n"
            "import serving.service, serving.api.app, serving.features.reader, feature_repo\n"
            "print(json.dumps({'user': os.getuid(),"
            " 'writable': [p for p in ('/', '/app', '/opt/gream', '/var/tmp', '/tmp') if os.access(p, os.W_OK)],"
            " 'there': [m for m in ('torch', 'transformers', 'pip', 'pytest') if u.find_spec(m)],"
            " 'tools': [t for t in ('gcc', 'cc', 'make', 'pip') if shutil.which(t)]}))",
        ).splitlines()[-1]
    )
    assert looked == {"user": 10001, "writable": ["/tmp"], "there": [], "tools": []}


def test_its_commands_are_on_the_path(inside):
    assert inside("gream", "--version").endswith(gream.__version__)
    assert "publish" in inside("gream", "store", "--help")
    assert "build" in inside("gream", "features", "--help")
    for program in ("bentoml", "feast"):
        assert inside("sh", "-c", f"command -v {program}") == f"/opt/gream/bin/{program}"


def test_what_is_served_beside_code_is_in_it(inside):
    assert inside("ls", "/app/serving/page/index.html", "/app/feature_repo/feature_store.yaml")


def test_the_base_has_no_pip_either(inside):
    look = "import sys, importlib.util as u; print(sys.prefix, u.find_spec('pip'))"
    assert inside("sh", "-c", f'exec "$(readlink -f "$(command -v python)")" -c "{look}"').endswith(" None")


def test_it_starts_and_is_alive(image, config, repository, tmp_path):
    tmp_path.chmod(0o777)
    (port,) = free_ports(1)
    command = [*config["Cmd"][: config["Cmd"].index("--port")], "--port", str(port)]
    settings = ["GREAM_STATE=/mnt", "GREAM_ENGINE_URL=http://127.0.0.1:9"]
    with subprocess.Popen(
        [repository / "scripts" / "run-image", image, *settings, *command],
        env=os.environ | {"VOLUME": str(tmp_path)},
        start_new_session=True,
    ) as server:
        try:
            assert alive(f"http://127.0.0.1:{port}/livez", server)
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def alive(url, server):
    """Whether it answers before it ends, within two minutes."""
    for _ in range(240):
        try:
            return urlopen(url, timeout=5).status == 200
        except (URLError, ConnectionError, TimeoutError):
            if server.poll() is not None:
                return False
            time.sleep(0.5)
    return False
