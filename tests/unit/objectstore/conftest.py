from collections.abc import Iterator
from pathlib import Path

import pytest
from background_server import in_background
from objectstore_tiny_s3 import TinyS3

from gream.artifacts import atomic_folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyS3]:
    """A tiny S3 server that the environment names."""
    with in_background(TinyS3()) as tiny:
        monkeypatch.setenv("GREAM_S3_ENDPOINT", tiny.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        monkeypatch.setenv("GREAM_S3_RETRIES", "1")
        yield tiny


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    with atomic_folder(tmp_path / "artifact", "toy") as folder:
        (folder / "text").write_text("content")
    return tmp_path / "artifact"
