"""Evidence in an S3 store: each replica pushes what it has written, whoever monitors pulls the hours of a window.

Parts never change once they have their name, so a part that is there with its size is there. A push or pull that was
killed, or that the store broke off, goes on with the next call; files that were never finished stay where they are.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gream.artifacts import file_digest
from gream.monitoring.evidence import FEEDBACK, HOUR, REQUESTS, Window, hour_folder
from gream.monitoring.evidence_reader import CLOCK_SECONDS
from gream.objectstore.bucket import Bucket
from gream.objectstore.uri import ArtifactUri

PARTS: Final = "date=*/hour=*/part-*.parquet"


def push_evidence(folder: Path, uri: str) -> int:
    """Upload the parts that the store lacks.

    Args:
        folder: of the evidence.
        uri: `s3://bucket/prefix` of all replicas' evidence; names of parts differ by replica or by content.

    Returns:
        How many went up.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses. Nothing is lost; call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    stored = bucket.sizes(place.prefix)
    pushed = 0
    for table in (REQUESTS, FEEDBACK):
        for file in sorted((folder / table).glob(PARTS)):
            key = f"{place.prefix}/{file.relative_to(folder).as_posix()}"
            if stored.get(key) != file.stat().st_size:
                bucket.upload(key, file, file_digest(file), lambda _: None)
                pushed += 1
    return pushed


def pull_evidence(uri: str, window: Window, match_seconds: int, folder: Path) -> int:
    """Download the parts that `read_evidence` looks at for a window, as far as the folder lacks them.

    Args:
        uri: see `push_evidence`.
        window: the window.
        match_seconds: see `read_evidence`.
        folder: where they go.

    Returns:
        How many came down.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses; call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    pulled = 0
    for hour in _hour_folders(window, match_seconds):
        for key, size in bucket.sizes(f"{place.prefix}/{hour.as_posix()}").items():
            file = folder / key.removeprefix(f"{place.prefix}/")
            if not (file.is_file() and file.stat().st_size == size):
                _download(bucket, key, file)
                pulled += 1
    return pulled


def _hour_folders(window: Window, match_seconds: int) -> Iterator[Path]:
    """The folders of a window, below that of the evidence."""
    first = max(0, window.start - match_seconds - CLOCK_SECONDS) // HOUR
    for table in (REQUESTS, FEEDBACK):
        for hour in range(first, (window.end - 1) // HOUR + 1):
            yield hour_folder(Path(table), hour)


def _download(bucket: Bucket, key: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    bucket.download(key, partial, lambda _: None)
    partial.replace(file)
