"""The pump: delivers what is in the outbox to the monitoring log and to the feature store, at least once each.

Exactly once follows at the receivers: a part of the log that is written again replaces itself, and the feature store
knows an event by its user, item and second. A receiver that fails, in whatever way, is tried again later and later, up
to half a minute apart, for as long as it takes. The other one is not held up, nor by one that has much to catch up on.

Only the feature store is told nothing of long ago: an outbox that comes back after months would bring back whom it has
forgotten.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from serving.contracts import FeatureStoreError, UserFeatures
from serving.feedback.log import FeedbackLog
from serving.feedback.outbox import Backlog, Outbox

PART_EVENTS: Final = 10_000
"""Events in a part of the log, at most."""
PART_SECONDS: Final = 5
"""How long the first event of a part waits for others."""
PUSH_EVENTS: Final = 500
"""Events in one push, at most."""
PUSHES: Final = 4
"""In one round, at most: after a long outage the log has its turn between them."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 1.0
_FORGET_SECONDS: Final = 3_600.0

_LOG = logging.getLogger("gream.feedback")


class Receiver:
    """When to try a receiver again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pause = 0.0
        self._not_before = 0.0

    @property
    def due(self) -> bool:
        """Whether it may be tried now."""
        return time.monotonic() >= self._not_before

    def succeeded(self) -> None:
        """It took something."""
        self._pause = 0.0

    def failed(self, error: Exception) -> None:
        """It did not; the pause before the next attempt doubles."""
        self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._not_before = time.monotonic() + self._pause
        foreseen = isinstance(error, FeatureStoreError | OSError)
        _LOG.log(
            logging.WARNING if foreseen else logging.ERROR,
            "%s took no feedback (%s); next attempt in %.1f s",
            self._name,
            error if isinstance(error, OSError) else type(error).__name__,
            self._pause,
            exc_info=None if foreseen else error,
        )

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Whatever goes wrong inside is its failure, and ends there."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the events are safe, and the other receiver must have its turn.
            self.failed(error)


class Pump:
    """The one thread that delivers from an outbox."""

    def __init__(
        self,
        path: Path,
        log_folder: Path,
        features: UserFeatures,
        remember_seconds: int,
        on_backlog: Callable[[Backlog], None],
    ) -> None:
        """Args:
        path: of the outbox.
        log_folder: of the monitoring log.
        features: where clicks and purchases go.
        remember_seconds: how long delivered events stay in the outbox; the feature store gets none that is older.
        on_backlog: told after each round what waits.
        """
        self._path = path
        self._log_folder = log_folder
        self._features = features
        self._remember_seconds = remember_seconds
        self._on_backlog = on_backlog
        self._log_receiver = Receiver("the monitoring log")
        self._features_receiver = Receiver("the feature store")
        self._wake = threading.Event()
        self._stopping = False
        self._forget_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="outbox-pump", daemon=True)

    def start(self) -> None:
        """Start the thread; what an earlier process left undelivered goes first."""
        self._thread.start()

    def wake(self) -> None:
        """Something new is in the outbox."""
        self._wake.set()

    def stop(self) -> None:
        """Try once more to deliver everything, then end the thread. What is left goes with the next start."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        outbox = Outbox(self._path)
        log = FeedbackLog(self._log_folder, outbox.id)
        last_round = False
        while not last_round:
            last_round = self._stopping
            self._wake.clear()
            try:
                self._round(outbox, log, last_round)
            except Exception as error:  # noqa: BLE001 - the events are safe, and only a living thread can try again.
                _LOG.error("a round of delivery broke off (%s)", type(error).__name__, exc_info=error)
            if not last_round:
                self._wake.wait(_IDLE_SECONDS)
        outbox.close()

    def _round(self, outbox: Outbox, log: FeedbackLog, last_round: bool) -> None:
        try:
            with self._log_receiver.attempt():
                self._deliver_to_log(outbox, log, waiting_is_over=last_round)
            with self._features_receiver.attempt():
                self._deliver_to_features(outbox, everything=last_round)
            if time.monotonic() >= self._forget_at:
                outbox.forget(before=int(time.time()) - self._remember_seconds)
                self._forget_at = time.monotonic() + _FORGET_SECONDS
        finally:
            self._on_backlog(outbox.backlog())

    def _deliver_to_log(self, outbox: Outbox, log: FeedbackLog, waiting_is_over: bool) -> None:
        while self._log_receiver.due and (waiting_is_over or self._part_is_due(outbox)):
            part = outbox.next_part(PART_EVENTS)
            if part is None:
                return
            log.write(part)
            outbox.mark_logged(part)
            self._log_receiver.succeeded()

    def _part_is_due(self, outbox: Outbox) -> bool:
        oldest = outbox.oldest_unlogged()
        if oldest is None:
            return False
        # An event of the future came before the clock was set back: waiting for its time would hold up all others.
        young = 0 <= time.time() - oldest < PART_SECONDS
        return not young or outbox.backlog().log >= PART_EVENTS

    def _deliver_to_features(self, outbox: Outbox, everything: bool) -> None:
        pushes = 0
        while self._features_receiver.due:
            events = outbox.unpushed(PUSH_EVENTS)
            if not events:
                return
            if pushes == PUSHES and not everything:
                self._wake.set()  # The next round begins at once.
                return
            oldest = time.time() - self._remember_seconds
            fresh = [stored.event for stored in events if stored.received >= oldest]
            if fresh:
                self._features.push(fresh)
            if len(fresh) < len(events):
                _LOG.warning("%d events are too old for the feature store", len(events) - len(fresh))
            outbox.mark_pushed(events)
            self._features_receiver.succeeded()
            pushes += 1
