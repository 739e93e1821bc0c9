"""The monitoring log: Parquet files by the hour in which events arrived.

    FOLDER/date=2026-11-25/hour=07/part-<outbox>-<number>.parquet

A part of an outbox always becomes the same files with the same rows, so a part that is written again after a crash
replaces itself: each event stands in the log once. The hour is that of arrival, not the event's own time: when an hour
is over and nothing waits in the outbox, its folder is complete.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from gream import columns
from serving.feedback.outbox import Part, StoredEvent

LOG_SCHEMA: Final = {
    "event_id": pl.String(),
    columns.USER: pl.String(),
    columns.ITEM: pl.String(),
    "kind": pl.String(),
    columns.TIMESTAMP: pl.Int64(),
    "request_id": pl.String(),
    "received": pl.Int64(),
}
"""`timestamp` is when the event happened, `received` when it arrived, both in seconds since 1970 (UTC)."""


class FeedbackLog:
    """The log of one outbox, below a folder that several may share."""

    def __init__(self, folder: Path, outbox_id: str) -> None:
        self._folder = folder
        self._outbox_id = outbox_id

    def write(self, part: Part) -> None:
        """Write a part; when this returns, it is on the disk.

        Raises:
            OSError: the folder cannot be written now.
        """
        hours: dict[int, list[StoredEvent]] = defaultdict(list)
        for event in part.events:
            hours[event.received // 3600].append(event)
        for hour, events in hours.items():
            start = datetime.fromtimestamp(hour * 3600, UTC)
            folder = self._folder / f"date={start:%Y-%m-%d}" / f"hour={start:%H}"
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"part-{self._outbox_id}-{part.number:012}.parquet", _frame(events))


def _frame(events: Sequence[StoredEvent]) -> pl.DataFrame:
    rows = [{**stored.event.model_dump(), "received": stored.received} for stored in events]
    return pl.DataFrame(rows, schema=LOG_SCHEMA)


def _write(target: Path, frame: pl.DataFrame) -> None:
    partial = target.with_name(f".{target.name}.partial")  # After a crash the next attempt overwrites it.
    with partial.open("wb") as file:
        frame.write_parquet(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
