"""Feedback for training: what users did in a stretch of time, with their own ids, whatever state the files are in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from gream.errors import DataError
from gream.monitoring.evidence import FEEDBACK, FEEDBACK_SCHEMA, HOUR, Skipped, Window
from gream.monitoring.evidence_reader import FEEDBACK_RULES, TableReader


@dataclass(frozen=True)
class Feedback:
    """Attributes:
    events: `FEEDBACK_SCHEMA`, by the time of their arrival, each event id once.
    files: that were found, readable or not.
    skipped: what was found and left out.
    """

    events: pl.DataFrame
    files: int
    skipped: tuple[Skipped, ...]


def read_feedback(folder: Path, window: Window) -> Feedback:
    """Feedback that arrived in a window, as `gream.monitoring.evidence_reader` reads it.

    Args:
        folder: of the evidence, with `feedback/`; what is not there counts as empty.
        window: by the clock of the servers that took the feedback.
    """
    reader = TableReader(folder)
    events = reader.table(FEEDBACK, FEEDBACK_SCHEMA, _clipped(folder, window), "received", "event_id", FEEDBACK_RULES)
    return Feedback(events, reader.files, tuple(reader.skipped))


def feedback_parts(folder: Path, window: Window) -> list[tuple[str, int]]:
    """Name and size of every file that `read_feedback` takes something from, in order: parts never change under their
    name.

    Raises:
        DataError: there is no folder of evidence.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of evidence, such as `gream serve` writes.")
    hours = range(window.start // HOUR, (window.end - 1) // HOUR + 1)
    found = [(hour, place) for hour, place in _hours(folder) if hour in hours]
    files = [file for _, place in sorted(found) for file in sorted(place.glob("*.parquet"))]
    parts = [file for file in files if not file.name.startswith(".")]
    return [(str(file.relative_to(folder)), file.stat().st_size) for file in parts]


def hour_of(date: str, hour: str) -> int | None:
    """The hour (counted since 1970) that two folder names say; None where they say none.

    >>> hour_of("date=2026-11-25", "hour=07"), hour_of("date=2026-11-25", "trash")
    (498775, None)
    """
    try:
        start = datetime.strptime(f"{date} {hour}", "date=%Y-%m-%d hour=%H").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(start.timestamp()) // HOUR


def _hours(folder: Path) -> Iterator[tuple[int, Path]]:
    for place in (folder / FEEDBACK).glob("date=*/hour=*"):
        hour = hour_of(place.parent.name, place.name)
        if hour is not None and place.is_dir():
            yield hour, place


def _clipped(folder: Path, window: Window) -> Window:
    """The window from the first hour that is there: a catalog may be decades older than its shop's feedback."""
    first = min((hour for hour, _ in _hours(folder)), default=window.end // HOUR) * HOUR
    return Window(min(max(window.start, first), window.end - 1), window.end)
