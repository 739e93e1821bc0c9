"""Evidence in an S3 store: each replica pushes what it has written, whoever monitors pulls the hours of a window.

Parts never change once they have their name, so a part that is there with its size is there. A push or pull that was
killed, or that the store broke off, goes on with the next call; files that were never finished stay where they are.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gream.artifacts import file_digest
from gream.monitoring.evidence import FEEDBACK, HOUR, REQUESTS, Window, hour_folder
from gream.monitoring.evidence_reader import CLOCK_SECONDS
from gream.objectstore.bucket import Bucket
from gream.objectstore.uri import ArtifactUri

HOURS: Final = "date=*/hour=*"
PARTS: Final = "part-*.parquet"


def push_evidence(folder: Path, uri: str, since: int = 0) -> int:
    """Upload the parts that the store lacks. In the store, only those hours are listed that have parts here.

    Args:
        folder: of the evidence.
        uri: `s3://bucket/prefix` of all replicas' evidence; names of parts differ by replica or by content.
        since: hours that ended by then are not looked at, in seconds since 1970 (UTC).

    Returns:
        How many went up.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses. Nothing is lost; call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    pushed = 0
    for hour in _hours_here(folder):
        if not hour.ended_by(since):
            for file in hour.lacking(bucket, place.prefix):
                bucket.upload(f"{place.prefix}/{hour.name}/{file.name}", file, file_digest(file), lambda _: None)
                pushed += 1
    return pushed


def prune_evidence(folder: Path, uri: str, before: int) -> int:
    """Delete the parts here that the store has too; what it lacks stays.

    Args:
        folder: see `push_evidence`.
        uri: see `push_evidence`.
        before: only of hours that ended by then, in seconds since 1970 (UTC).

    Returns:
        How many were deleted.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses; call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    deleted = 0
    for hour in _hours_here(folder):
        if hour.ended_by(before):
            stored = set(hour.parts) - set(hour.lacking(bucket, place.prefix))
            for file in stored:
                file.unlink()
            deleted += len(stored)
            with suppress(OSError):  # Something is left in it.
                hour.folder.rmdir()
                hour.folder.parent.rmdir()
    return deleted


@dataclass(frozen=True)
class _HourHere:
    """An hour of a table that has parts on this disk.

    Attributes:
        table: the folder of the table.
        folder: the folder of the hour.
        parts: its finished files.
    """

    table: Path
    folder: Path
    parts: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Its folder below that of the evidence."""
        return self.folder.relative_to(self.table.parent).as_posix()

    def ended_by(self, time: int) -> bool:
        """Whether the hour was over at a time, in seconds since 1970 (UTC)."""
        return self.folder < hour_folder(self.table, time // HOUR)

    def lacking(self, bucket: Bucket, prefix: str) -> list[Path]:
        """The parts that the store does not have."""
        stored = bucket.sizes(f"{prefix}/{self.name}")
        return [file for file in self.parts if stored.get(f"{prefix}/{self.name}/{file.name}") != file.stat().st_size]


def _hours_here(folder: Path) -> Iterator[_HourHere]:
    for table in (folder / REQUESTS, folder / FEEDBACK):
        for hour in sorted(table.glob(HOURS)):
            parts = tuple(sorted(hour.glob(PARTS)))
            if parts:
                yield _HourHere(table, hour, parts)


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
            pulled += fetch_part(bucket, key, size, file)
    return pulled


def _hour_folders(window: Window, match_seconds: int) -> Iterator[Path]:
    """The folders of a window, below that of the evidence."""
    first = max(0, window.start - match_seconds - CLOCK_SECONDS) // HOUR
    for table in (REQUESTS, FEEDBACK):
        for hour in range(first, (window.end - 1) // HOUR + 1):
            yield hour_folder(Path(table), hour)


def fetch_part(bucket: Bucket, key: str, size: int, file: Path) -> bool:
    """Download a part that is not there with its size; whether it was not.

    Raises:
        StoreError: the store does not answer or refuses; call again.
    """
    if file.is_file() and file.stat().st_size == size:
        file.touch()  # It is wanted: what nobody has asked for in long is tidied away (`gream.stages.tidy`).
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    bucket.download(key, partial, lambda _: None)
    partial.replace(file)
    return True
