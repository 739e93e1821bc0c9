"""What serving leaves behind, append-only: requests with their answers, and feedback.

    FOLDER/requests/date=2026-11-25/hour=07/part-*.parquet     by the hour of the request, on its server's clock
    FOLDER/feedback/date=2026-11-25/hour=07/part-*.parquet     by the hour in which the event arrived

No user ids: requests carry a keyed hash, and the ids in the feedback are hashed with the same key when they are read.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from gream import columns
from gream.errors import ConfigError

KEY_VARIABLE: Final = "GREAM_EVIDENCE_KEY"
"""Environment variable of the key that user ids are hashed with; the same for serving and monitoring."""
REQUESTS: Final = "requests"
FEEDBACK: Final = "feedback"

USER_HASH: Final = "user"
REQUEST_SCHEMA: Final = {
    "request_id": pl.String(),
    columns.TIMESTAMP: pl.Int64(),
    USER_HASH: pl.String(),
    "history_length": pl.Int32(),
    "seconds_since_last": pl.Int64(),
    "last_level1": pl.Int32(),
    "top_category": pl.String(),
    "unknown_items": pl.Int32(),
    "cold": pl.Boolean(),
    "mode": pl.String(),
    "policy_version": pl.String(),
    "degraded": pl.String(),
    "engine_ms": pl.Float32(),
    "features_ms": pl.Float32(),
    "total_ms": pl.Float32(),
    "items": pl.List(pl.String()),
    "scores": pl.List(pl.Float32()),
}
"""See `RequestEvidence`."""
FEEDBACK_SCHEMA: Final = {
    "event_id": pl.String(),
    columns.USER: pl.String(),
    columns.ITEM: pl.String(),
    "kind": pl.String(),
    columns.TIMESTAMP: pl.Int64(),
    "request_id": pl.String(),
    "received": pl.Int64(),
}
"""`timestamp` is the client's clock, `received` the server's, both in seconds since 1970 (UTC)."""

NULLABLE: Final = {
    "seconds_since_last",
    "last_level1",
    "top_category",
    "degraded",
    "engine_ms",
    "features_ms",
}
"""Columns of `REQUEST_SCHEMA` that may be empty."""
HOUR: Final = 3_600
ANOTHER_POLICY: Final = "answered by another policy than"
"""How the reason begins for which `Evidence.of_policy` leaves requests out."""


@dataclass(frozen=True)
class RequestEvidence:
    """One answered request.

    Attributes:
        request_id: as in the answer.
        timestamp: when it was answered, in seconds since 1970 (UTC).
        user: `user_hash` of the user id, or of the history where the request brought its own.
        history_length: items of the history, known to the policy or not.
        seconds_since_last: age of the history's last event; None without one, or without its time.
        last_level1: level-1 code of the last item that the policy knows; None where it knows none.
        top_category: the category that most items of the history carry; None where none carries any.
        unknown_items: items of the history that the policy does not know.
        cold: whether the policy was asked with an empty history.
        mode: `direct` or `reasoning`.
        policy_version: of the policy that answered.
        degraded: why the answer is less than what was asked for; None where it is not.
        engine_ms: milliseconds in the engine; None where it was not asked.
        features_ms: milliseconds in the feature store; None where it was not asked.
        total_ms: milliseconds from request to answer.
        items: ids of the recommended items, best first.
        scores: their log-probabilities.
    """

    request_id: str
    timestamp: int
    user: str
    history_length: int
    seconds_since_last: int | None
    last_level1: int | None
    top_category: str | None
    unknown_items: int
    cold: bool
    mode: str
    policy_version: str
    degraded: str | None
    engine_ms: float | None
    features_ms: float | None
    total_ms: float
    items: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Window:
    """A stretch of time `[start, end)`, in seconds since 1970 (UTC)."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ConfigError(f"a window needs 0 <= start < end; got [{self.start}, {self.end}).")

    @property
    def seconds(self) -> int:
        """Its length."""
        return self.end - self.start

    def __str__(self) -> str:
        start, end = (datetime.fromtimestamp(at, UTC) for at in (self.start, self.end))
        return f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Skipped:
    """Evidence that was there and is not counted.

    Attributes:
        place: a file below the evidence folder, or the table that rows were taken out of.
        rows: how many; None for a file of which nothing could be read.
        reason: in words.
    """

    place: str
    rows: int | None
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What is known of one window.

    Attributes:
        window: which.
        match_seconds: how long after a request its feedback counts.
        requests: of the window; `REQUEST_SCHEMA`.
        settled: requests whose time for feedback ran out in the window: those of the window moved back by
            `match_seconds`; `REQUEST_SCHEMA`.
        request_ids: of all requests from the settled ones on, whichever policy answered them.
        feedback: that arrived from the beginning of the settled requests to the end of the window; `FEEDBACK_SCHEMA`
            with the column `user` instead of the user id.
        files: that were found, readable or not.
        skipped: what was found and left out.
    """

    window: Window
    match_seconds: int
    requests: pl.DataFrame
    settled: pl.DataFrame
    request_ids: pl.Series
    feedback: pl.DataFrame
    files: int
    skipped: tuple[Skipped, ...]

    @property
    def unreadable_share(self) -> float:
        """Share of the files of which nothing could be read."""
        return sum(one.rows is None for one in self.skipped) / self.files if self.files else 0.0

    @property
    def answered_by_others(self) -> int:
        """Requests of the window that `of_policy` left out."""
        return sum(one.rows or 0 for one in self.skipped if one.reason.startswith(ANOTHER_POLICY))

    def begun_at(self, start: int) -> "Evidence":
        """The same without the settled requests from before `start`: a window's are those whose time ran out in it."""
        return replace(self, settled=self.settled.filter(pl.col(columns.TIMESTAMP) >= start))

    def of_policy(self, version: str) -> "Evidence":
        """The same without the requests that other policies answered; they are counted among the skipped."""
        own = pl.col("policy_version") == version
        requests, settled = self.requests.filter(own), self.settled.filter(own)
        others = self.requests.height - requests.height
        note = (Skipped(REQUESTS, others, f"{ANOTHER_POLICY} {version}"),) if others else ()
        return replace(self, requests=requests, settled=settled, skipped=(*self.skipped, *note))


def user_hash(identity: str, key: str) -> str:
    """A user as the evidence knows them: 16 hex digits of a keyed hash, the same for the same identity and key.

    Raises:
        ConfigError: the key is empty, so that anybody could compute the hash of a known user id.
    """
    if not key:
        raise ConfigError(f"the evidence needs a secret key for user ids: set {KEY_VARIABLE}.")
    secret = hashlib.sha256(key.encode()).digest()
    return hashlib.blake2b(identity.encode(), digest_size=8, key=secret).hexdigest()


def hour_folder(folder: Path, hour: int) -> Path:
    """Where rows of an hour (counted since 1970) lie below the folder of a table."""
    start = datetime.fromtimestamp(hour * HOUR, UTC)
    return folder / f"date={start:%Y-%m-%d}" / f"hour={start:%H}"
