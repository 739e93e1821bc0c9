"""The pusher: brings the evidence of this replica to the store, where that of all replicas comes together.

Every minute it looks for new parts in the hours that may have some; at the start, every hour, and after a failure in
all that are here. What has gone up once goes up no more, and is deleted here after some days, at once where the disk is
too full to note it.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gream.errors import GreamError
from gream.monitoring.evidence_store import prune_evidence, push_evidence
from gream.objectstore.settings import StoreSettings
from gream.objectstore.uri import ArtifactUri

PUSH_SECONDS: Final = 60.0
RECENT_SECONDS: Final = 2 * 3_600
"""Parts come into the hour that is under way, or into the one before: those of a spool or an outbox that waited."""
EVERYTHING_SECONDS: Final = 3_600.0
KEEP_SECONDS: Final = 2 * 86_400
"""How long parts stay on this replica's disk at least, if it has room to note that they went up."""
STOP_SECONDS: Final = 20.0
"""How long a stop waits for the store; what is left goes with the next start."""

_LOG = logging.getLogger("gream.evidence")


def require_store(uri: str) -> None:
    """Find out before the start whether a place for evidence is sound; the store is not asked.

    Raises:
        ConfigError: the URI or the environment does not fit.
    """
    ArtifactUri.parse_unpinned(uri)
    StoreSettings.from_environment()


class Pusher:
    """The one thread that pushes."""

    def __init__(self, evidence: Path, uri: str, on_failure: Callable[[], None]) -> None:
        """Args:
        evidence: folder of the evidence, see `gream.monitoring.evidence`.
        uri: `s3://bucket/prefix` of all replicas' evidence.
        on_failure: told of each push that failed.

        Raises:
            ConfigError: see `require_store`.
        """
        require_store(uri)
        self._evidence = evidence
        self._uri = uri
        self._on_failure = on_failure
        self._everything_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence-pusher", daemon=True)

    def start(self) -> None:
        """Start the thread; what an earlier process left goes first."""
        self._thread.start()

    def stop(self) -> None:
        """Push once more, and end the thread. A store that does not answer is not waited for."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        last_round = False
        while not last_round:
            last_round = self._stopping.is_set()
            try:
                self._round()
            except (GreamError, OSError) as error:
                self._failed()
                _LOG.warning("evidence does not get into the store, or off this disk (%s); it is tried again", error)
            except Exception as error:  # noqa: BLE001 - only a living thread can try again.
                self._failed()
                _LOG.error("a push of evidence broke off (%s)", type(error).__name__, exc_info=error)
            if not last_round:
                self._stopping.wait(PUSH_SECONDS)

    def _round(self) -> None:
        now = int(time.time())
        if time.monotonic() < self._everything_at:
            push_evidence(self._evidence, self._uri, since=now - RECENT_SECONDS)
            return
        try:
            # Before the store is asked: while it does not answer, the room is needed for what waits.
            prune_evidence(self._evidence, before=now - KEEP_SECONDS)
        finally:
            push_evidence(self._evidence, self._uri)
        self._everything_at = time.monotonic() + EVERYTHING_SECONDS

    def _failed(self) -> None:
        self._everything_at = time.monotonic()  # It may have lasted for longer than the recent hours.
        self._on_failure()
