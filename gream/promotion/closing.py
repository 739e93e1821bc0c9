"""The end of a run that was decided: what the gate accepted becomes the champion, and the record says how it ended.

Where there is a canary, a retrained challenger goes on trial first, and the monitor ends the run
(`gream.promotion.trials`).

Everything here may be done again after a kill: a challenger that has become the champion is not promoted twice, nor
again after somebody has gone back, and the record gets one outcome. A run whose outcome stands in the record already,
because somebody gave it up, promotes nothing any more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from gream.artifacts import VERSION_DIGITS
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Outcome, Result, Trial
from gream.monitoring.evidence_reader import CLOCK_SECONDS
from gream.promotion.canary import name_canary
from gream.promotion.champion import Champion, ChampionPlace, PromotionError, open_champion, promote_kept
from gream.promotion.verdict import Verdict


@dataclass(frozen=True)
class Ending:
    """How a run ended; the words of `gream.monitoring.entries.Outcome`."""

    result: Result
    text: str


@dataclass(frozen=True)
class OnTrial:
    """A run that has not ended: its challenger has to stand a trial."""

    text: str
    result: Literal["on trial"] = "on trial"


@dataclass(frozen=True)
class Order:
    """Who wants a run.

    Attributes:
        action: one of `gream.monitoring.entries.RUNS`.
        decision: id of the decision; empty where a person ordered the run.
        decisions: the record that has it; empty likewise.
        canary: where the canary stands; empty where there is none. What a person ordered, and a champion that only got
            new items, is not tried out.
    """

    action: str
    decision: str
    decisions: str
    canary: str = ""


def close_run(place: ChampionPlace, challenger: Path, verdict: Verdict, order: Order) -> Ending | OnTrial:
    """Promote a challenger that was accepted and record the outcome, or put it on trial.

    Args:
        place: where the champion stands.
        challenger: its bundle.
        verdict: of the gate.
        order: who wanted it.

    Raises:
        ArtifactError: the bundle or the record is damaged.
        StoreError: the place or the record does not answer; call again.
    """
    tried = order.decision and order.canary and order.action == "retrain" and verdict.accepted
    canary = open_champion(order.canary) if tried else None
    if verdict.accepted:
        # Takes minutes, in which somebody may give the run up: so it comes before the look into the record.
        place.keep(challenger)
    if canary is not None:
        canary.keep(challenger)
    if not order.decision:
        return _promote(place, verdict, order.action)
    log = DecisionLog(order.decisions)
    for entry in log.entries():
        if isinstance(entry, Outcome) and entry.decision == order.decision:
            return Ending(entry.result, entry.text)
    if canary is not None:
        return _try_out(canary, verdict, order, log)
    return record_ending(log, order.decision, _promote(place, verdict, order.action))


def record_ending(log: DecisionLog, decision: str, ending: Ending) -> Ending:
    """Record how the run of a decision ended; what the record says now, which may be older.

    Raises:
        ArtifactError, StoreError: see `close_run`.
    """
    outcome = log.close(Outcome(decision=decision, at=int(time.time()), result=ending.result, text=ending.text))
    return Ending(outcome.result, outcome.text)


def settle(place: ChampionPlace, verdict: Verdict, move: Callable[[], Champion], result: Result = "promoted") -> Ending:
    """Make a challenger the champion, once.

    Args:
        place: where the champion stands.
        verdict: of the gate.
        move: makes it the champion.
        result: what that is called.

    Raises:
        StoreError: the place does not answer; call again.
    """
    if not _was_promoted(place, verdict):
        try:
            move()
        except PromotionError as error:
            # Another promoter came in between, perhaps this very run on another machine.
            if not _was_promoted(place, verdict):
                return Ending("refused", str(error))
    return Ending(result, f"{verdict.challenger[:VERSION_DIGITS]} was made the champion.")


def _promote(place: ChampionPlace, verdict: Verdict, action: str) -> Ending:
    if not verdict.accepted:
        return Ending("refused", " ".join(verdict.reasons))
    result: Result = "indexed" if action == "index_new_items" else "promoted"
    return settle(place, verdict, lambda: promote_kept(place, verdict), result)


def _try_out(canary: ChampionPlace, verdict: Verdict, order: Order, log: DecisionLog) -> OnTrial:
    """Put a challenger on trial that is kept at both places, so that the monitor only has to move pointers."""
    log.begin(Trial(decision=order.decision, at=int(time.time()), verdict=verdict))
    name_canary(canary, verdict.challenger)
    return OnTrial(f"{verdict.challenger[:VERSION_DIGITS]} answers the canary's visitors.")


def _was_promoted(place: ChampionPlace, verdict: Verdict) -> bool:
    """Whether the challenger has been the champion since the verdict; the clocks of two machines may differ."""
    earliest = verdict.at - timedelta(seconds=CLOCK_SECONDS)
    for state in place.history():
        if state.since < earliest:
            return False
        if state.digest == verdict.challenger:
            return True
    return False
