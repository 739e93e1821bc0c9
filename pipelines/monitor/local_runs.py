"""Runs of the retraining pipeline in the monitor's own process, through KFP's local runner."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gream.artifacts import write_text_atomic
from gream.locks import held_if_free
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Outcome
from gream.monitoring.runs import RunOrder, RunState
from gream.objectstore.uri import ArtifactUri, is_store_uri

_A_QUESTION_S: Final = 1.0
"""Longer than the lock is held by whoever asks for the state."""
_LOG = logging.getLogger("gream.monitor")


@dataclass(frozen=True)
class LocalRuns:
    """See `gream.monitoring.runs.Runs`; the fields are those of `pipelines.local_retraining.RetrainRequest`.

    A run outlasts rounds of the monitor that a schedule starts meanwhile. They know it by a lock in the workspace.
    """

    champion: str
    data: str
    evidence: str
    decisions: str
    canary: str
    profile: str
    overrides: tuple[str, ...]
    workspace: Path
    out: Path

    def state(self, decision: str) -> RunState:
        """See `Runs.state`. Where no process is at it, it was killed, or never started: one that ends says so in the
        record."""
        with held_if_free(self._lock(decision)) as free:
            return "unknown" if free else "running"

    def start(self, order: RunOrder) -> None:
        """See `Runs.start`; returns when the run has ended or its challenger is on trial, or at once where another
        round of the monitor is at it.

        One that fails is over: its outcome is recorded. But one that a store has broken off waits to be started again.

        Raises:
            ConfigError: the profile or an override is not allowed.
            StoreError: a store does not answer, or refuses.
        """
        with held_if_free(self._lock(order.decision), _A_QUESTION_S) as free:
            if free:
                self._run(order)
            else:
                _LOG.info("%s: another process is at it.", order.decision)

    def _lock(self, decision: str) -> Path:
        return self.workspace / "retraining" / f"{decision}.lock"

    def _catalog(self, decision: str) -> str:
        """The catalog that a run reads: of a published one, the version that its first attempt has found. With another
        one nothing of what was made would fit. A folder that changes in place has no versions to keep to."""
        if not is_store_uri(self.data):
            return self.data
        from gream.objectstore import artifact_version

        kept = self.workspace / "retraining" / f"{decision}.catalog"
        if not kept.exists():
            write_text_atomic(kept, ArtifactUri.parse(self.data).pin(artifact_version(self.data)))
        return kept.read_text(encoding="utf-8")

    def _run(self, order: RunOrder) -> None:
        from pipelines.local_retraining import RetrainRequest, retrain_locally
        from pipelines.local_runner import RunError

        request = RetrainRequest(
            champion=self.champion,
            data=self._catalog(order.decision),
            evidence=self.evidence,
            until=order.until,
            hold_out_since=order.hold_out_since,
            action=order.action,
            profile=self.profile,
            overrides=self.overrides,
            seed=order.seed,
            workspace=self.workspace,
            out=self.out,
            decision=order.decision,
            decisions=self.decisions,
            canary=self.canary,
        )
        try:
            ended = retrain_locally(request)
        except RunError as error:
            _LOG.error("the run of decision %s failed: %s", order.decision, error)
            failed = Outcome(decision=order.decision, at=int(time.time()), result="failed", text=str(error))
            DecisionLog(self.decisions).close(failed)
            return
        _LOG.info("the run of decision %s ended, %s: %s", order.decision, ended.result, ended.text)
