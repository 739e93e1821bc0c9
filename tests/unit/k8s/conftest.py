import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


def with_component(old, new):
    """A change to an overlay: one place of it, such as a line of its components."""

    def change(text):
        assert text.count(old) == 1
        return text.replace(old, new)

    return change


SEAWEEDFS, MINIO, EXTERNAL = (
    f"  - ../../components/object-store-{name}\n" for name in ("seaweedfs", "minio", "external")
)
SHAPES = {
    "kind": ("kind", []),
    "kind with a canary": ("kind", [with_component("  # With a canary: - ", "  - ")]),
    "kind with MinIO": ("kind", [with_component(SEAWEEDFS, MINIO)]),
    "gpu": ("gpu", []),
    "gpu with a store outside": ("gpu", [with_component(SEAWEEDFS, EXTERNAL)]),
    "gpu with MinIO, a canary and Kueue": (
        "gpu",
        [
            with_component(SEAWEEDFS, MINIO),
            with_component("  # With a canary: - ", "  - "),
            with_component("  # With Kueue: - ", "  - "),
        ],
    ),
}
"""The overlays, and what else one line makes of them."""


def render(kubectl, folder, overlay, changes):
    """The text that an overlay makes after changes to its kustomization."""
    tree = shutil.copytree(REPOSITORY / "k8s", folder, dirs_exist_ok=True)
    kustomization = tree / "overlays" / overlay / "kustomization.yaml"
    text = kustomization.read_text()
    for change in changes:
        text = change(text)
    kustomization.write_text(text)
    run = subprocess.run([kubectl, "kustomize", kustomization.parent], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


@pytest.fixture(scope="session", params=list(SHAPES))
def shape(request):
    return request.param


@pytest.fixture(scope="session")
def rendered(shape, kubectl, tmp_path_factory):
    """A file with everything that an overlay makes."""
    target = tmp_path_factory.mktemp("rendered") / "all.yaml"
    target.write_text(render(kubectl, tmp_path_factory.mktemp("k8s"), *SHAPES[shape]))
    return target


@pytest.fixture(scope="session")
def objects(rendered):
    return [thing for thing in yaml.safe_load_all(rendered.read_text()) if thing]


@pytest.fixture
def outside_with_a_canary(kubectl, tmp_path):
    """What the overlay `gpu` makes of a store outside and a canary, with more literals among its own `settings`."""

    def render_with(literals):
        lines = "".join(f"      - {name}={value}\n" for name, value in literals.items())
        of_settings = "  - name: settings\n    behavior: merge\n    literals:\n"
        changes = [
            with_component(SEAWEEDFS, EXTERNAL),
            with_component("  # With a canary: - ", "  - "),
            with_component(of_settings, of_settings + lines),
        ]
        return [thing for thing in yaml.safe_load_all(render(kubectl, tmp_path, "gpu", changes)) if thing]

    return render_with


@pytest.fixture
def with_the_pages_lines(kubectl, tmp_path):
    """What an overlay on another one makes, of the only lines of YAML in docs/kubernetes.md that begin so."""

    def render(base, beginning, files=()):
        page = (REPOSITORY / "docs" / "kubernetes.md").read_text()
        (lines,) = re.findall(rf"```yaml\n({beginning}:.*?)```", page, re.DOTALL)
        overlay = shutil.copytree(REPOSITORY / "k8s", tmp_path / "k8s") / "overlays" / "shop"
        overlay.mkdir()
        (overlay / "kustomization.yaml").write_text(f"resources: [../{base}]\nnamespace: gream\n{lines}")
        for name, text in dict(files).items():
            (overlay / name).write_text(text)
        run = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return [thing for thing in yaml.safe_load_all(run.stdout) if thing]

    return render
