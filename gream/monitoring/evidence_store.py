"""Evidence in an S3 store: each replica pushes what it has written, whoever monitors pulls the hours of a window.

Parts never change once they have their name, so a part that came down with its size is there. A push or pull that was
killed, or that the store broke off, goes on with the next call; files that were never finished stay where they are.

A part goes up once. An empty file of its name below `pushed/` marks that the store has had it: what was deleted or
rewritten there since, to erase a user, is not brought back by the copy that still lies here. Where the disk has no room
for a mark, no copy is left.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from gream.artifacts import file_digest
from gream.locks import locked
from gream.monitoring.evidence import FEEDBACK, HOUR, REQUESTS, Window, hour_folder
from gream.monitoring.evidence_reader import CLOCK_SECONDS
from gream.objectstore.artifacts import in_parallel
from gream.objectstore.bucket import Bucket
from gream.objectstore.uri import ArtifactUri

HOURS: Final = "date=*/hour=*"
PARTS: Final = "part-*.parquet"
UNWANTED_SECONDS: Final = 2 * 86_400
"""After so long a pulled part goes that no pull has looked at."""
PULLING: Final = "pulling.lock"
PUSHED: Final = "pushed"
"""Folder of the marks, beside those of the tables."""


def push_evidence(folder: Path, uri: str, since: int = 0) -> int:
    """Upload the parts that the store has never had. In the store, only those hours are listed that have such parts.

    Args:
        folder: of the evidence.
        uri: `s3://bucket/prefix` of all replicas' evidence; names of parts differ by replica or by content.
        since: hours that ended by then are not looked at, in seconds since 1970 (UTC).

    Returns:
        How many went up.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses. Nothing is lost; call again.
        OSError: parts cannot be read, or neither be marked nor deleted; all others have gone up. Call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    pushed = 0
    left: dict[Path, OSError] = {}
    for hour in _hours(folder):
        waiting = [] if _ended_by(hour, since) else _unpushed(folder, hour)
        stored = bucket.sizes(f"{place.prefix}/{hour.as_posix()}") if waiting else {}
        for file in waiting:
            key = f"{place.prefix}/{hour.as_posix()}/{file.name}"
            # There without a mark: of a push that was killed between the two, or of a release that made no marks. Of
            # whatever size: nobody sees an upload before it is whole, so this is a part that was rewritten.
            try:
                if key not in stored:
                    bucket.upload(key, file, file_digest(file), lambda _: None)
                    pushed += 1
                _take_note(file, folder / PUSHED / hour / file.name)
            except OSError as error:  # Of this part alone: it must not hold up the others.
                left[file] = error
    if left:
        first, reason = next(iter(left.items()))
        raise OSError(f"parts that stay behind: {len(left)}, first {first} ({reason})") from reason
    return pushed


def _take_note(part: Path, mark: Path) -> None:
    """Mark a part that the store has. A disk that is full gets the part's room instead."""
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        part.unlink(missing_ok=True)


def prune_evidence(folder: Path, before: int) -> int:
    """Delete the parts here that the store has had; the others stay.

    Args:
        folder: see `push_evidence`.
        before: only of hours that ended by then, in seconds since 1970 (UTC).

    Returns:
        How many were deleted.

    Raises:
        OSError: the disk refuses; call again.
    """
    deleted = 0
    for hour in _hours(folder / PUSHED):
        if _ended_by(hour, before):
            for mark in (folder / PUSHED / hour).iterdir():
                part = folder / hour / mark.name
                deleted += part.exists()
                part.unlink(missing_ok=True)  # The mark last: a part without one would go up again.
                mark.unlink()
            _remove_empty(folder / PUSHED / hour)
            _remove_empty(folder / hour)
    return deleted


def _hours(folder: Path) -> Iterator[Path]:
    """The hours of both tables that have a folder below this one, as `TABLE/date=.../hour=..`."""
    for table in (REQUESTS, FEEDBACK):
        for hour in sorted((folder / table).glob(HOURS)):
            yield hour.relative_to(folder)


def _ended_by(hour: Path, time: int) -> bool:
    """Whether an hour was over at a time, in seconds since 1970 (UTC)."""
    return hour < hour_folder(Path(hour.parts[0]), time // HOUR)


def _unpushed(folder: Path, hour: Path) -> list[Path]:
    """The finished parts of an hour that have no mark."""
    marks = folder / PUSHED / hour
    return [file for file in sorted((folder / hour).glob(PARTS)) if not (marks / file.name).exists()]


def _remove_empty(hour: Path) -> None:
    """Remove the folders of an hour and of its day, unless something is left in them."""
    with suppress(OSError):
        hour.rmdir()
        hour.parent.rmdir()


def pull_evidence(uri: str, window: Window, match_seconds: int, folder: Path) -> int:
    """Download the parts that `read_evidence` looks at for a window, as far as the folder lacks them.

    What the store has no longer, since a user was erased there, is deleted in those hours of the folder; in all others,
    what no pull has looked at for `UNWANTED_SECONDS`.

    Args:
        uri: see `push_evidence`.
        window: the window.
        match_seconds: see `read_evidence`.
        folder: where they go, and nothing else is; pulls into it wait for each other.

    Returns:
        How many came down.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses; call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / PULLING):
        try:
            return sum(_pull_hour(bucket, place.prefix, hour, folder) for hour in _hour_folders(window, match_seconds))
        finally:  # A disk that is full of what nobody wants is emptied all the same.
            _forget_unwanted(folder)


def _pull_hour(bucket: Bucket, prefix: str, hour: Path, folder: Path) -> int:
    stored = bucket.sizes(f"{prefix}/{hour.as_posix()}").items()
    parts = {folder / key.removeprefix(f"{prefix}/"): (key, size) for key, size in stored}
    for file in set((folder / hour).glob("*")) - parts.keys():
        file.unlink()
    return fetch_evidence(bucket, parts)


def _hour_folders(window: Window, match_seconds: int) -> Iterator[Path]:
    """The folders of a window, below that of the evidence."""
    first = max(0, window.start - match_seconds - CLOCK_SECONDS) // HOUR
    for table in (REQUESTS, FEEDBACK):
        for hour in range(first, (window.end - 1) // HOUR + 1):
            yield hour_folder(Path(table), hour)


def _forget_unwanted(folder: Path) -> None:
    """Delete what no pull has looked at for long."""
    oldest = time.time() - UNWANTED_SECONDS
    for hour in _hours(folder):
        for file in (folder / hour).iterdir():
            if file.stat().st_mtime <= oldest:
                file.unlink()
        _remove_empty(folder / hour)


def fetch_evidence(bucket: Bucket, parts: Mapping[Path, tuple[str, int]]) -> int:
    """Download parts, several at a time, that are not there with their size.

    Args:
        bucket: where from.
        parts: where they go, with key and size.

    Returns:
        How many came down.

    Raises:
        StoreError: the store does not answer or refuses; call again.
    """
    lacking = {}
    for file, (key, size) in parts.items():
        if file.is_file() and file.stat().st_size == size:
            file.touch()  # It is wanted: what nobody has asked for in long is deleted (see also `gream.stages.tidy`).
        else:
            lacking[file] = key

    def fetch(file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        bucket.download(lacking[file], partial, lambda _: None)
        partial.replace(file)

    in_parallel(fetch, lacking)
    return len(lacking)
