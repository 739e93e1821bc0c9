import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from objectstore_tiny_s3 import TinyS3

from gream.artifacts import atomic_folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyS3]:
    """A tiny S3 server that the environment names."""
    with TinyS3() as tiny:
        threading.Thread(target=tiny.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("GREAM_S3_ENDPOINT", tiny.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        monkeypatch.setenv("GREAM_S3_RETRIES", "1")
        yield tiny
        tiny.shutdown()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    with atomic_folder(tmp_path / "artifact", "toy") as folder:
        (folder / "text").write_text("content")
    return tmp_path / "artifact"
