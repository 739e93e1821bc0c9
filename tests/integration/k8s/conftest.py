import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
BASE_IMAGE = "localhost/gream-python:3.11"


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def base_image():
    """A base image that is on this machine: nothing is pulled."""
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed: the Debian package buildah brings it")
    if subprocess.run(
        ["buildah", "inspect", "--type", "image", BASE_IMAGE], capture_output=True, check=False
    ).returncode:
        pytest.skip(f"{BASE_IMAGE} is not here: scripts/local-base-image makes it")
    return BASE_IMAGE
