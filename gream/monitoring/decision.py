"""What is to be done about a window: one pure function of its report, the record so far, and the clock.

First what the evidence asks for, the first of these that applies:

    a run that never reported back                              page
    no requests, no feedback, or too many unreadable files      page: nothing may be concluded
    too few users                                               warn
    no reference yet                                            nothing, but warn of skew from the training data
    data quality or operations alarm                            page: training repairs neither
    quality alarm, but for `click_rate` alone, which feedback
      that is lost lowers too; alarms lasting
      `quality_windows` windows                                 retrain
    collisions over their limit                                 retrain, with a whole new index
    input or output alarms that last `drift_windows` windows    retrain, though quality holds
    new items over their limit, or some and asked for           index_new_items
    such items, but indexing them has just come to nothing      warn
    quality, input or output alarms, or bare texts              warn
    items asked for that the catalog does not have either       warn
    none of these                                               nothing

An override takes the place of that. Then what forbids a run: a freeze, missing evidence (but for the reference, which
an order can do without), a run that is under way, a later window that has been decided, cool-down, budget. A run that
is forbidden becomes a warning that says why. Time between runs is that between their windows: rounds come when they
can, and some seconds of theirs are no reason to wait another window. An order that is held back silences no alarm: what
the evidence says is told beside it, and a page stays one.

The window's decision is made once: for a window that the record knows, the same decision comes back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from gream.monitoring.catalogue import BARE_TEXTS, COLLISIONS, NEW_ITEMS, CountResult
from gream.monitoring.entries import RUNS, Action, Decision, Entry, Freeze, Outcome, Override, Thaw, Trial, clock
from gream.monitoring.judgement import MonitorResult, WindowReport
from gream.monitoring.monitors import CLICK_RATE, HIT_RATE, Group

DAY: Final = 86_400
WEEK: Final = 7 * DAY


class DecisionSettings(BaseModel):
    """How eagerly runs are started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cooldown_seconds: Annotated[int, Field(ge=0)] = 3 * DAY
    """Least time between the windows that start two retrainings, or two runs that index new items where the first came
    to nothing."""
    index_cooldown_seconds: Annotated[int, Field(ge=0)] = DAY
    """Least time between the windows that start two runs that index new items."""
    weekly_budget: Annotated[int, Field(ge=0)] = 2
    """Retrainings that the windows of any seven days may start."""
    run_timeout_seconds: Annotated[int, Field(ge=1)] = DAY
    """After this time a run that has not reported back is worth a page; set it above the pipeline's own limit."""
    quality_windows: Annotated[int, Field(ge=1)] = 1
    """Consecutive windows of alarms before one of quality retrains. What is held out for the gate is not trained on:
    with a hold-out of two windows, a retraining in the first two of an abrupt change learns nothing of it."""
    drift_windows: Annotated[int, Field(ge=0)] = 3
    """Consecutive windows of input or output alarms that retrain though quality holds; 0 never does."""


@dataclass(frozen=True)
class _Wish:
    action: Action
    reasons: tuple[str, ...]
    override: str | None = None


def decide(report: WindowReport, history: Sequence[Entry], now: int, settings: DecisionSettings) -> Decision:
    """Decide on a window.

    Args:
        report: of the window.
        history: the record, oldest entry first.
        now: seconds since 1970 (UTC).
        settings: see there.
    """
    name = f"{report.policy_version}-{report.start}-{report.end}"
    for entry in history:
        if isinstance(entry, Decision) and entry.id == name:
            return entry
    order, asked = _pending_override(history, now), _wish(report, history, now, settings)
    wish = asked if order is None else _Wish(order.action, (f"Ordered by {order.by}: {order.reason}",), order.id)
    obstacles = tuple(_obstacles(wish.action, report, history, now, settings)) if wish.action in RUNS else ()
    if obstacles:
        held_back = f"{_name(wish.action)} is held back."
        told = asked.reasons if order is not None and asked.action != "nothing" else ()
        also = tuple(reason for reason in told if not any(reason in obstacle for obstacle in obstacles))
        action: Action = "page" if asked.action == "page" else "warn"
        wish = _Wish(action, (*wish.reasons, *also, held_back, *obstacles))
    return Decision(id=name, at=now, action=wish.action, reasons=wish.reasons, override=wish.override, report=report)


def running(history: Sequence[Entry]) -> Decision | None:
    """The decision whose run has not reported back; None where none is under way."""
    ended = {entry.decision for entry in history if isinstance(entry, Outcome)}
    started = [entry for entry in _decisions(history) if entry.action in RUNS and entry.id not in ended]
    return started[-1] if started else None


def on_trial(history: Sequence[Entry]) -> Trial | None:
    """The trial that the run under way has come to; None where no challenger is on trial."""
    run = running(history)
    trials = [entry for entry in history if isinstance(entry, Trial) and run and entry.decision == run.id]
    return trials[-1] if trials else None


def freeze(history: Sequence[Entry], now: int) -> Freeze | None:
    """The freeze that holds now."""
    orders = [entry for entry in history if isinstance(entry, Freeze | Thaw)]
    last = orders[-1] if orders else None
    return last if isinstance(last, Freeze) and (last.until is None or now < last.until) else None


def unused_order(history: Sequence[Entry]) -> Override | None:
    """The latest order, unless it was carried out; it may have run out since the last decision."""
    orders = [entry for entry in history if isinstance(entry, Override)]
    decisions = _decisions(history)
    if not orders or any(one.override == orders[-1].id or orders[-1].ran_out(one.at) for one in decisions):
        return None
    return orders[-1]


def _wish(report: WindowReport, history: Sequence[Entry], now: int, settings: DecisionSettings) -> _Wish:
    """What the evidence asks for."""
    overdue = None if on_trial(history) else running(history)
    if overdue is not None and now - overdue.at > settings.run_timeout_seconds:
        return _Wish(
            "page",
            (
                f"The run that was decided at {clock(overdue.at)} never reported back. Look at it, and record its "
                "outcome; no other run starts before.",
            ),
        )
    if report.missing:
        kinds = {one.kind for one in report.missing}
        skewed = tuple(_count_sentence(one) for one in report.skew if one.alarm)
        warned = "few_users" in kinds or skewed
        action: Action = "page" if kinds & {"silent", "unreadable", "no_feedback"} else "warn" if warned else "nothing"
        return _Wish(action, (*(one.text for one in report.missing), *skewed))
    if broken := report.alarming("data_quality", "operations"):
        return _Wish("page", tuple(map(_sentence, broken)))
    return _wish_of_training(report, history, settings)


def _wish_of_training(report: WindowReport, history: Sequence[Entry], settings: DecisionSettings) -> _Wish:
    counts = {one.name: one for one in report.counts if one.alarm}
    drift = report.alarming("input", "output")
    quality = report.alarming("quality")
    alarms = tuple(map(_sentence, (*quality, *drift)))
    if [one.name for one in quality] == [CLICK_RATE]:
        alarms = (*alarms, "No other quality alarms: feedback, or what it names, may be lost on its way.")
    elif quality:
        windows = _windows_of(("quality", "input", "output"), report, history)
        if windows >= settings.quality_windows:
            return _Wish("retrain", alarms)
        alarms = (*alarms, f"A retraining waits for {settings.quality_windows} windows of alarms; this is {windows}.")
    if COLLISIONS in counts:
        return _Wish("retrain", (_count_sentence(counts[COLLISIONS]), "The catalogue is indexed anew.", *alarms))
    windows = _windows_of(("input", "output"), report, history) if drift else 0
    if 0 < settings.drift_windows <= windows:
        if any(one.name == HIT_RATE and one.statistic is not None for one in report.results):
            return _Wish("retrain", (*alarms, f"It has lasted {windows} windows."))
        alarms = (*alarms, f"It has lasted {windows} windows, but there is no feedback to train on.")
    demand = tuple(map(_sentence, report.alarming("catalogue")))
    if NEW_ITEMS in counts:
        demand = (*demand, _count_sentence(counts[NEW_ITEMS]))
    if demand:
        # Without any new item in the catalog the run would fail, and be started again and again.
        if not all(one.value > 0.0 for one in report.counts if one.name == NEW_ITEMS):
            alarms = (*alarms, *demand, "They are not in the catalog: publish it.")
        elif (nothing := _came_to_nothing(report, history, settings)) is not None:
            alarms = (*alarms, *demand, nothing)
        else:
            return _Wish("index_new_items", (*demand, *alarms))
    if BARE_TEXTS in counts:
        alarms = (*alarms, _count_sentence(counts[BARE_TEXTS]))
    if alarms:
        return _Wish("warn", alarms)
    measured = sum(one.statistic is not None for one in report.results)
    return _Wish("nothing", (f"No alarm: {measured} of {len(report.results)} monitors had enough to go by.",))


def _came_to_nothing(report: WindowReport, history: Sequence[Entry], settings: DecisionSettings) -> str | None:
    """What became of the champion's last run that indexed new items, where that is a reason to wait with the next one.

    An order need not wait for it: somebody may have mended what was in the way.
    """
    runs = [
        entry
        for entry in _decisions(history)
        if entry.action == "index_new_items" and entry.report.policy_version == report.policy_version
    ]
    ended = [entry for entry in history if isinstance(entry, Outcome) and runs and entry.decision == runs[-1].id]
    if not ended or ended[0].result not in ("failed", "refused"):
        return None
    until = runs[-1].report.end + settings.cooldown_seconds
    if report.end >= until:
        return None
    what = f"The last run that indexed new items ended, {ended[0].result}: {ended[0].text}"
    return f"{what} The next one waits until {clock(until)}."


def _obstacles(
    action: Action, report: WindowReport, history: Sequence[Entry], now: int, settings: DecisionSettings
) -> Iterator[str]:
    """Why a run may not start."""
    if (frozen := freeze(history, now)) is not None:
        yield f"Frozen by {frozen.by} at {clock(frozen.at)}: {frozen.reason}"
    # Only what a person ordered comes so far without evidence.
    if missing := [one.text for one in report.missing if one.kind != "no_reference"]:
        yield "Evidence is missing: " + " ".join(missing)
    if (other := running(history)) is not None:
        yield f"The run that was decided at {clock(other.at)} is still under way."
    decisions = _decisions(history)
    if any(entry.report.end > report.end for entry in decisions):
        yield "A later window has been decided already."
    starts = [entry.report.end for entry in decisions if entry.action == action]
    pause = settings.cooldown_seconds if action == "retrain" else settings.index_cooldown_seconds
    if starts and report.end - max(starts) < pause:
        yield f"{_name(action)} cools down until {clock(max(starts) + pause)}."
    week = sum(start > report.end - WEEK for start in starts)
    if action == "retrain" and week >= settings.weekly_budget:
        yield f"Retrainings that started within seven days: {week}; the budget is {settings.weekly_budget}."


def _pending_override(history: Sequence[Entry], now: int) -> Override | None:
    order = unused_order(history)
    return None if order is None or order.ran_out(now) else order


def _windows_of(groups: Sequence[Group], report: WindowReport, history: Sequence[Entry]) -> int:
    """For how many consecutive windows, this one among them, monitors of these groups have alarmed, beside the same
    reference."""
    earlier = [
        entry.report
        for entry in _decisions(history)
        if entry.report.reference_of == report.reference_of and entry.report.end <= report.start
    ]
    windows = 1
    for one in sorted(earlier, key=lambda one: -one.end):
        if not one.alarming(*groups):
            break
        windows += 1
    return windows


def _decisions(history: Sequence[Entry]) -> list[Decision]:
    return [entry for entry in history if isinstance(entry, Decision)]


def _sentence(result: MonitorResult) -> str:
    text = f"{result.name} alarms: {result.statistic:.3f}, above {result.threshold:.3f}"
    if result.current is not None and result.reference is not None:
        text += f" ({result.reference:.3f} in the reference, {result.current:.3f} now)"
    return f"{text}, over {result.users} users."


def _count_sentence(count: CountResult) -> str:
    return f"{count.name}: {count.value:.1%}, the limit is {count.limit:.1%}. {count.meaning}"


def _name(action: Action) -> str:
    return "Retraining" if action == "retrain" else "Indexing new items"
