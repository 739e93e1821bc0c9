"""The runs that decisions start, as the monitor sees them: by the decision's id, wherever they run."""

from dataclasses import dataclass
from typing import Literal, Protocol

from gream.monitoring.entries import Action, Decision
from gream.monitoring.settings import MonitoringSettings

RunState = Literal["unknown", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class RunOrder:
    """What is to be run.

    Attributes:
        decision: id of the decision; it names the run, so that it starts once.
        action: one of `gream.monitoring.entries.RUNS`.
        until: evidence that arrived earlier is used, in seconds since 1970 (UTC).
        hold_out_since: from here on it is kept from training, for the gate.
        seed: of the run: the same for the same window.
    """

    decision: str
    action: Action
    until: int
    hold_out_since: int
    seed: int

    @classmethod
    def of(cls, decision: Decision, settings: MonitoringSettings) -> "RunOrder":
        """The order that a decision gives; the same whenever it is asked for."""
        until = decision.report.end
        return cls(
            decision=decision.id,
            action=decision.action,
            until=until,
            hold_out_since=until - settings.hold_out_seconds,
            seed=until % 2**31,
        )


class Runs(Protocol):
    """Where runs are started and looked for."""

    def state(self, decision: str) -> RunState:
        """How the run of a decision is; `unknown` where it never started.

        Raises:
            GreamError: whoever runs it does not answer.
        """
        ...

    def start(self, order: RunOrder) -> None:
        """Start a run that is `unknown`. It records its own outcome in the record of decisions.

        Raises:
            GreamError: it could not be started, or failed.
        """
        ...
