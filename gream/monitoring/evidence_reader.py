"""Read one window of evidence, whatever state its files are in.

What is damaged, of another shape, unfinished, impossible or there twice is left out, and `Evidence.skipped` says what
and why; reading itself goes on. What is not noticed: a damaged file of feedback whose values still make sense (files of
requests carry their digest in their name), and a file that somebody deleted.

Clocks. Requests are ordered by their server's clock, feedback by the clock of the server that took it. An event that
names a request belongs to it, and any other one happened when it arrived. A client's clock only orders what arrived in
the same second, and says how late it is (the monitor `late_feedback`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Final

import polars as pl

from gream import columns
from gream.errors import ConfigError
from gream.monitoring.evidence import (
    FEEDBACK,
    FEEDBACK_SCHEMA,
    HOUR,
    NULLABLE,
    REQUEST_SCHEMA,
    REQUESTS,
    USER_HASH,
    Evidence,
    Skipped,
    Window,
    hour_folder,
    user_hash,
)
from gream.monitoring.request_log import DIGEST_LENGTH, content_name

CLOCK_SECONDS: Final = 300
"""By how much the clocks of two servers may be apart."""

ROUNDING: Final = 1e-3
"""What float32 may add to a log-probability of 0."""

_CHECKED_NAME: Final = re.compile(rf"part-([0-9a-f]{{{DIGEST_LENGTH}}})\.parquet")

_REQUEST_RULES: Final = {
    "a value that must be there is missing": pl.all_horizontal(
        pl.col(name).is_not_null() for name in REQUEST_SCHEMA if name not in NULLABLE
    ),
    "a count, age or time is negative": pl.all_horizontal(
        pl.col(name).fill_null(0) >= 0
        for name in (columns.TIMESTAMP, "history_length", "unknown_items", "seconds_since_last", "total_ms")
    ),
    "more unknown items than items": pl.col("unknown_items") <= pl.col("history_length"),
    "not one score for each item": pl.col("items").list.len() == pl.col("scores").list.len(),
    "a score is no log-probability": pl.col("scores")
    .list.eval((pl.element() <= ROUNDING) & pl.element().is_finite().fill_null(False))
    .list.all(),
}
"""Reason -> what a sound row fulfils."""
FEEDBACK_RULES: Final = {
    "a value that must be there is missing": pl.all_horizontal(
        pl.col(name).is_not_null() for name in FEEDBACK_SCHEMA if name != "request_id"
    ),
    "an unknown kind of event": pl.col("kind").is_in(["impression", "click", "purchase"]),
}


def read_evidence(folder: Path, window: Window, match_seconds: int, key: str) -> Evidence:
    """What is known of a window.

    Args:
        folder: of the evidence, with `requests/` and `feedback/`; what is not there counts as empty.
        window: which.
        match_seconds: how long after a request its feedback counts, from 0 up.
        key: of the user hashes, the one that serving writes requests with.

    Raises:
        ConfigError: `match_seconds` is negative, or the key is empty.
    """
    if match_seconds < 0:
        raise ConfigError(f"match_seconds must not be negative; got {match_seconds}.")
    known_from = max(0, window.start - match_seconds)
    reader = TableReader(folder)
    requests = reader.table(
        REQUESTS, REQUEST_SCHEMA, Window(known_from, window.end), columns.TIMESTAMP, "request_id", _REQUEST_RULES
    )
    feedback = reader.table(
        FEEDBACK,
        FEEDBACK_SCHEMA,
        Window(max(0, known_from - CLOCK_SECONDS), window.end),
        "received",
        "event_id",
        FEEDBACK_RULES,
    )
    users = feedback[columns.USER].unique()
    hashed = {user: user_hash(user, key) for user in users}
    # They are in order of their time, so these are slices of the one table, not copies.
    bounds = pl.Series([window.start, window.end - match_seconds])
    started, settled = requests[columns.TIMESTAMP].search_sorted(bounds, "left")
    return Evidence(
        window=window,
        match_seconds=match_seconds,
        requests=requests.slice(started),
        settled=requests.head(settled),
        request_ids=requests["request_id"],
        feedback=feedback.with_columns(
            pl.col(columns.USER).replace_strict(hashed, return_dtype=pl.String()).alias(USER_HASH)
        ).drop(columns.USER),
        files=reader.files,
        skipped=tuple(reader.skipped),
    )


class TableReader:
    """Reads tables below an evidence folder, and keeps account of what it left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files = 0
        self.skipped: list[Skipped] = []

    def table(
        self,
        name: str,
        schema: Mapping[str, pl.DataType],
        window: Window,
        clock: str,
        identity: str,
        rules: Mapping[str, pl.Expr],
    ) -> pl.DataFrame:
        """Sound rows of a window by the column `clock`, each `identity` once, in a fixed order."""
        frames, left_out = [], Counter[str]()
        for hour in range(window.start // HOUR, (window.end - 1) // HOUR + 1):
            rows = pl.concat([pl.DataFrame(schema=schema), *self._hour(name, hour, schema)])
            for reason, rule in rules.items():
                height, rows = rows.height, rows.filter(rule)
                left_out[reason] += height - rows.height
            rows = rows.filter(pl.col(clock).is_between(window.start, window.end, closed="left"))
            if not rows.is_empty():
                frames.append(rows.sort(clock, identity, maintain_order=True))
        for reason in rules:
            self._note(name, left_out[reason], reason)
        rows = pl.concat([pl.DataFrame(schema=schema), *frames])
        # Hours are in order one by one, since all of them together would be in memory twice.
        if any(one[clock][-1] >= other[clock][0] for one, other in pairwise(frames)):
            rows = rows.sort(clock, identity, maintain_order=True)
        once = rows.filter(pl.col(identity).is_first_distinct())
        self._note(name, rows.height - once.height, f"the same {identity} again")
        return once

    def _hour(self, name: str, hour: int, schema: Mapping[str, pl.DataType]) -> list[pl.DataFrame]:
        """What can be read of an hour: at once, which takes half of the time, unless a part is damaged."""
        contents = {}
        for file in self._parts(name, hour):
            try:
                contents[file] = _content(file, schema)
            except _UnreadableError as error:
                self._skip(file, str(error))
        try:
            return [_rows(list(contents.values()), schema)] if contents else []
        except _UnreadableError:
            return list(self._one_by_one(contents, schema))

    def _one_by_one(self, contents: Mapping[Path, bytes], schema: Mapping[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        for file, content in contents.items():
            try:
                yield _rows([content], schema)
            except _UnreadableError as error:
                self._skip(file, str(error))

    def _parts(self, name: str, hour: int) -> Iterator[Path]:
        folder = hour_folder(self._folder / name, hour)
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            self.files += 1
            if file.suffix == ".parquet" and not file.name.startswith("."):
                yield file
            else:
                self._skip(file, "was never finished, or is no part of the log")

    def _skip(self, file: Path, reason: str) -> None:
        self.skipped.append(Skipped(str(file.relative_to(self._folder)), None, reason))

    def _note(self, table: str, rows: int, reason: str) -> None:
        if rows:
            self.skipped.append(Skipped(table, rows, reason))


class _UnreadableError(Exception):
    """Nothing of a file can be used; the message says why."""


def _content(file: Path, schema: Mapping[str, pl.DataType]) -> bytes:
    """A file that has its columns, and what its name says."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _UnreadableError(f"cannot be read ({error.strerror})") from error
    named = _CHECKED_NAME.fullmatch(file.name)
    if named and named[1] != content_name(content):
        raise _UnreadableError("is damaged: its content is not what its name says")
    with _parquet():
        found = pl.read_parquet_schema(BytesIO(content))
    for column, kind in schema.items():
        if found.get(column) != kind:
            raise _UnreadableError(f"has no column {column!r} of type {kind}")
    return content


def _rows(contents: Sequence[bytes], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows of some files, one after the other."""
    with _parquet():
        return pl.read_parquet(list(contents), columns=list(schema))


@contextmanager
def _parquet() -> Iterator[None]:
    """Bytes that are no Parquet can also make polars panic, and its panic is no Exception."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _UnreadableError("is no Parquet file any more") from error
