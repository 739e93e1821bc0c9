"""Feedback as the API sees it: accepted means durable, delivery is somebody else's business."""

import asyncio
import fcntl
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from gream.errors import GreamError
from gream.monitoring.evidence import FEEDBACK
from serving.contracts import FeedbackEvent, UserFeatures
from serving.feedback.outbox import Backlog, Outbox
from serving.feedback.pump import Pump
from serving.feedback.window import DAY_SECONDS, check_times
from serving.feedback.writer import OutboxWriter
from serving.settings import EVIDENCE_FOLDER

OUTBOX_FILE: Final = "outbox.sqlite"
LOCK_FILE: Final = "outbox.lock"
LOG_FOLDER: Final = f"{EVIDENCE_FOLDER}/{FEEDBACK}"


class FeedbackError(GreamError):
    """Feedback cannot be kept now."""


@dataclass(frozen=True)
class Accepted:
    """What became of events that arrived together: `new` are kept now, `duplicates` were before."""

    new: int
    duplicates: int


def hold(state: Path) -> TextIO:
    """Take the lock of a state folder, which is made where there is none; it is held until the file is closed.

    Raises:
        FeedbackError: another process holds it, or the folder cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = (state / LOCK_FILE).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FeedbackError(f"another server keeps its feedback in {state}; give each its own GREAM_STATE.") from error
    except OSError as error:
        raise FeedbackError(f"feedback cannot be kept in {state}: {error}") from error
    return lock


class Feedback:
    """The outbox in a state folder, with its writer and its pump. One process at a time may hold it."""

    def __init__(
        self, state: Path, features: UserFeatures, max_age_days: int, on_backlog: Callable[[Backlog], None]
    ) -> None:
        """Args:
        state: folder of this replica.
        features: where clicks and purchases go.
        max_age_days: events that happened longer ago are refused, and ids are remembered at least as long.
        on_backlog: told now and then what waits for delivery.

        Raises:
            FeedbackError: another process holds the outbox, or the folder cannot be written.
        """
        self._max_age_days = max_age_days
        path = state / OUTBOX_FILE
        self._lock = hold(state)
        try:
            Outbox(path).close()
        except sqlite3.Error as error:
            raise FeedbackError(f"feedback cannot be kept in {state}: {error}") from error
        remember = (max_age_days + 1) * DAY_SECONDS
        self._pump = Pump(path, state / LOG_FOLDER, features, remember, on_backlog)
        self._writer = OutboxWriter(path, on_commit=self._pump.wake)

    def start(self) -> None:
        """Start to deliver, first of all what an earlier process could not."""
        self._pump.start()
        self._writer.start()

    def stop(self) -> None:
        """Keep what was accepted, deliver what can be delivered now, and let go of the outbox."""
        self._writer.stop()
        self._pump.stop()
        self._lock.close()

    async def accept(self, events: Sequence[FeedbackEvent]) -> Accepted:
        """Keep events; when this returns, no crash loses them.

        Raises:
            RequestError: the time of an event is out of range; nothing was kept.
            FeedbackError: the disk failed; nothing was kept.
        """
        check_times(events, time.time(), self._max_age_days)
        try:
            new = await asyncio.wrap_future(self._writer.submit(events))
        except sqlite3.Error as error:
            raise FeedbackError("the outbox cannot be written now.") from error
        return Accepted(new.count(True), new.count(False))
