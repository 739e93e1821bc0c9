"""The end of a run that was decided: what the gate accepted becomes the champion, and the record says how it ended.

Everything here may be done again after a kill: a challenger that has become the champion is not promoted twice, nor
again after somebody has gone back, and the record gets one outcome. A run whose outcome stands in the record already,
because somebody gave it up, promotes nothing any more.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gream.artifacts import VERSION_DIGITS
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Outcome, Result
from gream.monitoring.evidence_reader import CLOCK_SECONDS
from gream.promotion.champion import ChampionPlace, PromotionError, promote
from gream.promotion.verdict import Verdict


@dataclass(frozen=True)
class Ending:
    """How a run ended; the words of `gream.monitoring.entries.Outcome`."""

    result: Result
    text: str


@dataclass(frozen=True)
class Order:
    """Who wants a run.

    Attributes:
        action: one of `gream.monitoring.entries.RUNS`.
        decision: id of the decision; empty where a person ordered the run.
        decisions: the record that has it; empty likewise.
    """

    action: str
    decision: str
    decisions: str


def close_run(place: ChampionPlace, challenger: Path, verdict: Verdict, order: Order) -> Ending:
    """Promote a challenger that was accepted, and record the outcome.

    Args:
        place: where the champion stands.
        challenger: its bundle.
        verdict: of the gate.
        order: who wanted it.

    Raises:
        ArtifactError: the bundle or the record is damaged.
        StoreError: the place or the record does not answer; call again.
    """
    if not order.decision:
        return _settle(place, challenger, verdict, order.action)
    log = DecisionLog(order.decisions)
    for entry in log.entries():
        if isinstance(entry, Outcome) and entry.decision == order.decision:
            return Ending(entry.result, entry.text)
    ending = _settle(place, challenger, verdict, order.action)
    outcome = log.close(Outcome(decision=order.decision, at=int(time.time()), result=ending.result, text=ending.text))
    return Ending(outcome.result, outcome.text)


def _settle(place: ChampionPlace, challenger: Path, verdict: Verdict, action: str) -> Ending:
    if not verdict.accepted:
        return Ending("refused", " ".join(verdict.reasons))
    if not _was_promoted(place, verdict):
        try:
            promote(place, challenger, verdict)
        except PromotionError as error:
            # Another promoter came in between, perhaps this very run on another machine.
            if not _was_promoted(place, verdict):
                return Ending("refused", str(error))
    result: Result = "indexed" if action == "index_new_items" else "promoted"
    return Ending(result, f"{verdict.challenger[:VERSION_DIGITS]} is the champion.")


def _was_promoted(place: ChampionPlace, verdict: Verdict) -> bool:
    """Whether the challenger has been the champion since the verdict; the clocks of two machines may differ."""
    earliest = verdict.at - timedelta(seconds=CLOCK_SECONDS)
    for state in place.history():
        if state.since < earliest:
            return False
        if state.digest == verdict.challenger:
            return True
    return False
