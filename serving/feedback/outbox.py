"""The outbox: events in SQLite, durable before they are acknowledged, kept until they are delivered.

Two places get every event: the feature store (clicks and purchases) and the monitoring log. Each keeps its own mark on
the row, so one being down does not hold up the other. Delivered rows stay for a while, because they are also the memory
of the event ids that were seen.
"""

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.contracts import FeedbackEvent

HISTORY_KINDS: Final = frozenset({"click", "purchase"})
"""Kinds of events that extend a user's history; the others go to the log alone."""

_BUSY_SECONDS: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    received INTEGER NOT NULL,
    part INTEGER,
    logged INTEGER NOT NULL DEFAULT 0,
    pushed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS unlogged ON events (seq) WHERE logged = 0;
CREATE INDEX IF NOT EXISTS unpushed ON events (seq) WHERE pushed = 0;
CREATE INDEX IF NOT EXISTS parts ON events (part) WHERE logged = 0;
CREATE INDEX IF NOT EXISTS delivered ON events (received) WHERE logged = 1 AND pushed = 1;
"""


@dataclass(frozen=True)
class StoredEvent:
    """An event in the outbox.

    Attributes:
        seq: its place in the order of arrival.
        received: when it arrived, in seconds since 1970 (UTC).
        event: the event.
    """

    seq: int
    received: int
    event: FeedbackEvent


@dataclass(frozen=True)
class Part:
    """Events that are logged together. A part never changes, so writing it again writes the same files.

    Attributes:
        number: the place of its first event; unique within the outbox, for good.
        events: in order of arrival.
    """

    number: int
    events: tuple[StoredEvent, ...]


@dataclass(frozen=True)
class Backlog:
    """What is not delivered yet: events that the log lacks, and events that the feature store lacks."""

    log: int
    features: int


class Outbox:
    """One connection to an outbox; each thread opens its own.

    Attributes:
        id: of the outbox, chosen at random when it was made: logs of several replicas can be put together.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A commit returns only after the write-ahead log is on the disk.
        self._connection.execute("PRAGMA synchronous = FULL")
        # Builds of SQLite differ in it: what is forgotten is not to stay in free pages.
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.executescript(_SCHEMA)
        with self._transaction() as rows:
            rows.execute(
                "INSERT INTO outbox SELECT ? WHERE NOT EXISTS (SELECT * FROM outbox)",
                (uuid.uuid4().hex[:8],),
            )
        (self.id,) = self._connection.execute("SELECT id FROM outbox").fetchone()

    def add(self, events: Sequence[FeedbackEvent], received: int) -> list[bool]:
        """Store events in one transaction; when this returns, they are durable.

        Returns:
            For each event whether it is new: an id that is known already, also from earlier in `events`, is ignored.

        Raises:
            sqlite3.Error: nothing was stored.
        """
        with self._transaction() as rows:
            return [
                rows.execute(
                    "INSERT OR IGNORE INTO events (event_id, body, received, pushed) VALUES (?, ?, ?, ?)",
                    (event.event_id, event.model_dump_json(), received, event.kind not in HISTORY_KINDS),
                ).rowcount
                == 1
                for event in events
            ]

    def next_part(self, limit: int) -> Part | None:
        """The oldest part that is not logged yet, made of the next `limit` events where none is; None if all is logged.

        What belongs to a part is on disk before the part is returned.
        """
        open_part = self._connection.execute("SELECT MIN(part) FROM events WHERE logged = 0").fetchone()[0]
        if open_part is None:
            with self._transaction() as rows:
                waiting = rows.execute(
                    "SELECT seq FROM events WHERE logged = 0 ORDER BY seq LIMIT ?", (limit,)
                ).fetchall()
                if not waiting:
                    return None
                open_part = waiting[0][0]
                rows.execute(
                    "UPDATE events SET part = ? WHERE logged = 0 AND seq <= ?",
                    (open_part, waiting[-1][0]),
                )
        found = self._connection.execute(
            "SELECT seq, received, body FROM events WHERE part = ? AND logged = 0 ORDER BY seq", (open_part,)
        ).fetchall()
        return Part(open_part, tuple(_stored(row) for row in found))

    def mark_logged(self, part: Part) -> None:
        """Remember that a part is in the log."""
        self._connection.execute("UPDATE events SET logged = 1 WHERE part = ? AND logged = 0", (part.number,))

    def unpushed(self, limit: int) -> list[StoredEvent]:
        """The oldest events that the feature store lacks."""
        found = self._connection.execute(
            "SELECT seq, received, body FROM events WHERE pushed = 0 ORDER BY seq LIMIT ?", (limit,)
        ).fetchall()
        return [_stored(row) for row in found]

    def mark_pushed(self, events: Sequence[StoredEvent]) -> None:
        """Remember that events are in the feature store."""
        with self._transaction() as rows:
            rows.executemany("UPDATE events SET pushed = 1 WHERE seq = ?", [(event.seq,) for event in events])

    def backlog(self) -> Backlog:
        """How many events wait for each place."""
        (log,) = self._connection.execute("SELECT COUNT(*) FROM events WHERE logged = 0").fetchone()
        (features,) = self._connection.execute("SELECT COUNT(*) FROM events WHERE pushed = 0").fetchone()
        return Backlog(log, features)

    def oldest_unlogged(self) -> int | None:
        """When the oldest event arrived that the log lacks; None if it has all."""
        found = self._connection.execute("SELECT received FROM events WHERE logged = 0 ORDER BY seq LIMIT 1").fetchone()
        return None if found is None else int(found[0])

    def forget(self, before: int) -> None:
        """Delete delivered events that arrived before a time, and with them the memory of their ids."""
        self._connection.execute("DELETE FROM events WHERE received < ? AND logged = 1 AND pushed = 1", (before,))
        # The write-ahead log has them too, until other writes happen to take their place.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction that takes its lock at once, so that it cannot fail halfway for want of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite ends some by itself, on a full disk for one.
                self._connection.execute("ROLLBACK")
            raise


def _stored(row: tuple[int, int, str]) -> StoredEvent:
    seq, received, body = row
    return StoredEvent(seq, received, FeedbackEvent.model_validate_json(body))
