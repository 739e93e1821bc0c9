"""The API's image is really built, and looked into."""

import json
import subprocess

import pytest

import gream

pytestmark = pytest.mark.integration

TAG = "localhost/gream-test/api"


def buildah(*arguments):
    run = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4_000:]
    return run.stdout.strip()


@pytest.fixture(scope="module")
def image(base_image, repository):
    buildah(
        *("build", "--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"),
        *("--build-arg", f"PYTHON_IMAGE={base_image}", "--build-arg", "REVISION=abc"),
        *("--file", "serving/Dockerfile", "--tag", TAG, str(repository)),
    )
    yield TAG
    buildah("rmi", "--force", TAG)


@pytest.fixture(scope="module")
def inside(image):
    """Runs a command in the image, as its user, on a read-only copy of nothing but itself."""
    container = buildah("from", "--pull-never", image)

    def run(*command):
        return buildah("run", "--isolation", "chroot", container, "--", *command)

    yield run
    buildah("rm", container)


def test_what_the_image_says_of_itself(image):
    config = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.version"] == gream.__version__
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["ExposedPorts"] == {"3000/tcp": {}}


def test_it_can_serve_without_what_it_leaves_out(inside):
    """Everything of the API imports; torch, pip and a compiler are not there; the files are not its user's."""
    looked = json.loads(
        inside(
            "python",
            "-c",
            "import json, os, shutil, importlib.util as u\n"
            "import serving.service, serving.api.app, serving.features.reader, feature_repo\n"
            "print(json.dumps({'user': os.getuid(), 'writable': os.access('/app', os.W_OK),"
            " 'there': [m for m in ('torch', 'transformers', 'pip', 'pytest') if u.find_spec(m)],"
            " 'tools': [t for t in ('gcc', 'cc', 'make') if shutil.which(t)]}))",
        ).splitlines()[-1]
    )
    assert looked == {"user": 10001, "writable": False, "there": [], "tools": []}


def test_its_commands_are_on_the_path(inside):
    assert inside("gream", "--version").endswith(gream.__version__)
    assert "publish" in inside("gream", "store", "--help")
    assert "build" in inside("gream", "features", "--help")
    for program in ("bentoml", "feast"):
        assert inside("sh", "-c", f"command -v {program}") == f"/opt/gream/bin/{program}"


def test_what_is_served_beside_code_is_in_it(inside):
    assert inside("ls", "/app/serving/page/index.html", "/app/feature_repo/feature_store.yaml")
