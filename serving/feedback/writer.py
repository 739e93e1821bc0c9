"""Group commits: requests that arrive together share one transaction, and each is answered after its commit."""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.contracts import FeedbackEvent
from serving.feedback.outbox import Outbox

MAX_GROUP: Final = 10_000
"""Events in one transaction, about."""

_LOG = logging.getLogger("gream.feedback")


@dataclass(frozen=True)
class _Submission:
    events: Sequence[FeedbackEvent]
    new: "Future[list[bool]]"


class OutboxWriter:
    """The one thread that adds to an outbox. While a commit waits for the disk, the next group gathers."""

    def __init__(self, path: Path, on_commit: Callable[[], None]) -> None:
        """Args:
        path: of the outbox.
        on_commit: called after each commit.
        """
        self._path = path
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Submission | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what was submitted, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def submit(self, events: Sequence[FeedbackEvent]) -> "Future[list[bool]]":
        """Store events.

        Returns:
            What `Outbox.add` returns or raises, once it is certain.
        """
        submission = _Submission(events, Future())
        self._queue.put(submission)
        return submission.new

    def _run(self) -> None:
        outbox = Outbox(self._path)
        running = True
        while running:
            group, running = self._gather()
            if group:
                self._commit(outbox, group)
        outbox.close()

    def _gather(self) -> tuple[list[_Submission], bool]:
        """Wait for one submission and take those that wait behind it; False where the thread is to end."""
        group: list[_Submission] = []
        size = 0
        waiting = self._queue.get()
        while waiting is not None:
            if waiting.new.set_running_or_notify_cancel():  # Its request may have given up while it waited.
                group.append(waiting)
                size += len(waiting.events)
            if size >= MAX_GROUP:
                return group, True
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, outbox: Outbox, group: list[_Submission]) -> None:
        try:
            new = iter(outbox.add([event for submission in group for event in submission.events], int(time.time())))
        except sqlite3.Error as error:
            _LOG.exception("feedback cannot be kept")
            for submission in group:
                submission.new.set_exception(error)
            return
        for submission in group:
            submission.new.set_result([next(new) for _ in submission.events])
        self._on_commit()
