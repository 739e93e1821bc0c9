"""Fixtures that every level of the tests may use."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """The folder with real Amazon data beside the repository; its licence keeps it out of the repository."""
    folder = REPOSITORY.parent / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip("real Amazon data is not here: put amazon14-beauty into ../shared/datasets to run this test")
    return folder
