"""A SeaweedFS server for all tests here, a bucket for each of them, and artifacts to put into it."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from objectstore_seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFs

from gream.artifacts import atomic_folder

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    server = SeaweedFs(tmp_path_factory.mktemp("seaweed"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(seaweed: SeaweedFs, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an empty bucket on the server that the environment names."""
    name = f"bucket-{next(NUMBERS)}"
    seaweed.client.make_bucket(name)
    monkeypatch.setenv("GREAM_S3_ENDPOINT", seaweed.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return name


@pytest.fixture
def make_artifact(tmp_path: Path) -> Callable[..., Path]:
    """Writes an artifact of kind `toy` from file names and contents."""

    def make(name: str, **files: bytes) -> Path:
        with atomic_folder(tmp_path / name, "toy") as folder:
            (folder / "deep").mkdir()
            for file, content in files.items():
                (folder / "deep" / file).write_bytes(content)
        return tmp_path / name

    return make


@pytest.fixture
def keys(seaweed: SeaweedFs, bucket: str) -> Callable[[], list[str]]:
    """The keys in the bucket."""
    return lambda: [entry.object_name for entry in seaweed.client.list_objects(bucket, recursive=True)]
