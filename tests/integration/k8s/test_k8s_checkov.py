"""checkov on everything that the overlays make, with the reviewed list of what it asks for in vain."""

import shutil
import subprocess

import pytest
import yaml

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def checkov(repository):
    own = repository / ".venv-checkov" / "bin" / "checkov"
    found = str(own) if own.is_file() else shutil.which("checkov")
    if found is None:
        pytest.skip("checkov is not here: `make .venv-checkov/bin/checkov` gives it an environment of its own")
    return found


@pytest.mark.parametrize("overlay", ["kind", "gpu"])
def test_nothing_fails_but_what_was_reviewed(overlay, checkov, kubectl, repository, tmp_path):
    rendered = tmp_path / "all.yaml"
    with rendered.open("w") as file:
        subprocess.run([kubectl, "kustomize", repository / "k8s" / "overlays" / overlay], stdout=file, check=True)
    command = [checkov, "--config-file", repository / "k8s" / "checkov.yaml", "--file", rendered]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_every_skip_has_its_reason(repository):
    lines = (repository / "k8s" / "checkov.yaml").read_text().splitlines()
    skips = yaml.safe_load("\n".join(lines))["skip-check"]
    for skip in skips:
        place = lines.index(f"  - {skip}")
        assert lines[place - 1].startswith("  # "), skip
