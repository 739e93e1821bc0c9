"""The monitoring log: Parquet files by the hour in which events arrived.

    FOLDER/date=2026-11-25/hour=07/part-<outbox>-<number>.parquet

A part of an outbox always becomes the same files with the same rows, so a part that is written again after a crash
replaces itself: each event stands in the log once. The hour is that of arrival, not the event's own time: when an hour
is over and nothing waits in the outbox, its folder is complete.
"""

from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from gream.monitoring.durable import write_durably
from gream.monitoring.evidence import FEEDBACK_SCHEMA, HOUR, hour_folder
from serving.feedback.outbox import Part, StoredEvent


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
            hours[event.received // HOUR].append(event)
        for hour, events in hours.items():
            folder = hour_folder(self._folder, hour)
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"part-{self._outbox_id}-{part.number:012}.parquet"
            # After a crash the next attempt overwrites what was half written.
            write_durably(target, folder / f".{target.name}.partial", _content(events))


def _content(events: Sequence[StoredEvent]) -> bytes:
    rows = [{**stored.event.model_dump(), "received": stored.received} for stored in events]
    buffer = BytesIO()
    pl.DataFrame(rows, schema=FEEDBACK_SCHEMA).write_parquet(buffer)
    return buffer.getvalue()
