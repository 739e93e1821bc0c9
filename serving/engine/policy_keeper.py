"""Keeps an engine of the newest sound policy: loads it beside the old one, then takes its place between two batches.

A policy that cannot be loaded, or does not answer a request in each mode, never serves; the old one goes on, and the
new one is tried again after longer and longer pauses, since what was wrong may have been a network or a full disk. An
engine that has died is built anew in the same way.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gream.artifacts import VERSION_DIGITS
from gream.errors import GreamError
from serving.contracts import EngineRequest, PolicyEngine
from serving.engine.metrics import EngineMetrics
from serving.engine.policy_source import PolicySource

LONGEST_PAUSE: Final = 300.0
"""Seconds between attempts to load a policy that failed before, at most."""

DOUBLINGS: Final = 16
"""Of the pause, at most: a policy may fail for weeks, and no number is as large as that."""

PATIENCE: Final = 5.0
"""Seconds that the end waits for a policy that is being loaded just then; it ends with the process."""

_LOG = logging.getLogger("gream.engine")


class NoPolicyError(Exception):
    """No policy can answer now."""


@dataclass
class Served:
    """A loaded policy.

    Attributes:
        engine: what answers.
        bundle: its folder.
        batches: how many are under way.
    """

    engine: PolicyEngine
    bundle: Path
    batches: int = 0


class PolicyKeeper:
    """Follows a `PolicySource` in a thread of its own."""

    def __init__(
        self,
        source: PolicySource,
        load: Callable[[Path, str], PolicyEngine],
        poll_seconds: float,
        metrics: EngineMetrics,
    ) -> None:
        """Args:
        source: where the policy comes from.
        load: makes an engine from a bundle's folder and its version.
        poll_seconds: pause between looks at the source.
        metrics: told of swaps.
        """
        self._source = source
        self._load = load
        self._poll_seconds = poll_seconds
        self._metrics = metrics
        self._lock = threading.Lock()
        self._served: Served | None = None
        self._left: list[Served] = []
        self._failures = 0
        self._failed = ""
        self._retry_at = 0.0
        self._trouble = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="policy-keeper", daemon=True)

    def start(self) -> None:
        """Load the policy and go on looking for a newer one, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, and let the engine go; no batch may be under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        self._close_left()
        if self._served is not None:
            self._served.engine.close()

    @property
    def served(self) -> Served | None:
        """The policy that answers now; None before the first one is loaded, and while a dead engine is rebuilt."""
        served = self._served
        return served if served is not None and served.engine.alive else None

    @contextmanager
    def engine(self) -> Iterator[PolicyEngine]:
        """The engine for one batch; it is not closed before the batch is done.

        Raises:
            NoPolicyError: none is loaded yet, or it died and is being rebuilt.
        """
        with self._lock:
            held = self.served
            if held is None:
                raise NoPolicyError
            held.batches += 1
        try:
            yield held.engine
        finally:
            with self._lock:
                held.batches -= 1

    def look(self) -> None:
        """Look at the source once, and load what is new there."""
        self._close_left()
        try:
            digest = self._source.digest()
        except (GreamError, OSError) as error:
            self._note(f"the policy's source cannot be read: {error}")
            return
        self._note("")
        served = self._served
        if served is not None and served.bundle.name == digest and served.engine.alive:
            return
        if digest == self._failed and time.monotonic() < self._retry_at:
            return
        try:
            self._swap(self._prepare())
        except Exception as error:  # noqa: BLE001  # Whatever a broken policy raises, the old one must go on serving.
            self._failures = self._failures + 1 if digest == self._failed else 1
            self._failed = digest
            pause = min(self._poll_seconds * 2 ** min(self._failures, DOUBLINGS), LONGEST_PAUSE)
            self._retry_at = time.monotonic() + pause
            self._metrics.failed_swaps.inc()
            going_on = self.served
            old = f"policy {going_on.engine.policy_version} goes on serving" if going_on else "nothing is served"
            # With the error's own words: no client had a part in it.
            _LOG.exception(
                "policy %s cannot be loaded (%s), %s; next attempt in %.0f s",
                digest[:VERSION_DIGITS],
                error,
                old,
                pause,
            )

    def _watch(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # Only a living thread can see the next policy.
                _LOG.error("a look at the policy's source broke off (%s)", type(error).__name__, exc_info=error)
            if self._stopped.wait(self._poll_seconds):
                return

    def _prepare(self) -> Served:
        """Load the policy, and have it answer in each mode."""
        started = time.monotonic()
        bundle = self._source.fetch()
        self._close_left()  # Whose last batch is done by now: there is room for two engines, not for three.
        engine = self._load(bundle, bundle.name[:VERSION_DIGITS])
        try:
            for answer in engine.recommend([EngineRequest(history=()), EngineRequest(history=(), mode="reasoning")]):
                if not answer.items:
                    raise RuntimeError("the policy recommends nothing.")
        except BaseException:
            engine.close()
            raise
        _LOG.info("policy %s is loaded in %.1f s", engine.policy_version, time.monotonic() - started)
        return Served(engine, bundle)

    def _swap(self, new: Served) -> None:
        with self._lock:
            old, self._served = self._served, new
            if old is not None:
                self._left.append(old)
        self._metrics.observe_policy(new.engine.policy_version)
        self._failed = ""
        if old is None:
            self._source.keep_only(new.bundle)
            return
        self._metrics.swaps.inc()
        _LOG.info("policy %s takes the place of %s", new.engine.policy_version, old.engine.policy_version)
        self._close_left()
        self._source.keep_only(new.bundle, old.bundle)  # The API may be reading the old one.

    def _close_left(self) -> None:
        """Close engines that have been replaced and whose last batch is done. Whoever ends that batch does not: to end
        a process takes seconds, for which its answers would wait."""
        with self._lock:
            idle = [held for held in self._left if held.batches == 0]
            self._left = [held for held in self._left if held.batches > 0]
        for held in idle:
            try:
                held.engine.close()
            except Exception as error:  # noqa: BLE001  # It serves nobody any more; the next policy must be seen.
                _LOG.error("policy %s does not close (%s)", held.engine.policy_version, error, exc_info=error)

    def _note(self, trouble: str) -> None:
        """Log trouble with the source when it begins and when it ends, not at every look."""
        if trouble and trouble != self._trouble:
            _LOG.warning("%s", trouble)
        elif self._trouble and not trouble:
            _LOG.info("the policy's source can be read again")
        self._trouble = trouble
