"""What holds whatever monitors, people and clocks do."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monitoring_reports import DAY, START, report

from gream.monitoring.decision import WEEK, DecisionSettings, decide, freeze
from gream.monitoring.entries import RUNS, Freeze, Outcome, Override, Thaw

pytestmark = pytest.mark.unit

HOUR = 3_600
# Most steps are a day later, have a quality alarm, all evidence and nobody's order: or else nothing would ever start.
STEP = st.fixed_dictionaries(
    {
        "ahead": st.sampled_from([1, 1, 1, 1, 2, 6, 0, -2]),
        "clock": st.sampled_from([0, 0, 0, HOUR, -2 * DAY, 2 * DAY]),
        "alarms": st.sampled_from(
            [("hit_rate",)] * 4 + [(), ("category",), ("category",), ("degraded",), ("new_item_demand",)]
        ),
        "counts": st.sampled_from([(), (), ("new_items",), ("collisions",), ("bare_texts",)]),
        "missing": st.sampled_from([()] * 6 + [("silent",), ("unreadable",), ("few_users",), ("no_reference",)]),
        "person": st.sampled_from([None] * 8 + ["freeze", "hour", "thaw", "retrain", "index_new_items", "nothing"]),
        "ends": st.sampled_from([True, True, True, False]),
    }
)
STEPS = st.lists(STEP, min_size=12, max_size=16)
SETTINGS = st.builds(
    DecisionSettings,
    cooldown_seconds=st.sampled_from([0, DAY, 3 * DAY]),
    weekly_budget=st.integers(0, 3),
    run_timeout_seconds=st.sampled_from([HOUR, 20 * DAY]),
    drift_windows=st.integers(0, 3),
    quality_windows=st.integers(1, 3),
)


def person(what, now, number):
    if what == "freeze":
        return [Freeze(at=now, by="ada", reason="Stop.")]
    if what == "hour":
        return [Freeze(at=now, by="ada", reason="Stop for an hour.", until=now + HOUR)]
    if what == "thaw":
        return [Thaw(at=now, by="ada")]
    if what is None:
        return []
    return [Override(id=f"o{number}", at=now, by="ada", action=what, reason="Do it.", until=now + 2 * DAY)]


def live(steps, settings_):
    """The record after these steps; each decision beside what it was made on."""
    history, decided, day = [], [], 10
    for number, step in enumerate(steps):
        day = max(0, day + step["ahead"])
        now = START + (day + 1) * DAY + step["clock"]
        history += person(step["person"], now, number)
        window = report(day, step["alarms"], step["counts"], step["missing"])
        decision = decide(window, history, now, settings_)
        if decision not in history:
            decided.append((decision, list(history), now))
            history.append(decision)
            if step["ends"] and decision.action in RUNS:
                history.append(Outcome(decision=decision.id, at=now, result="failed"))
    return decided


def starts(decided, action):
    return sorted(decision.report.end for decision, _, _ in decided if decision.action == action)


@settings(max_examples=60)
@given(STEPS, SETTINGS)
def test_two_retrainings_are_never_closer_than_the_cool_down(steps, settings_):
    times = starts(live(steps, settings_), "retrain")
    assert all(later - earlier >= settings_.cooldown_seconds for earlier, later in pairwise(times))


@settings(max_examples=60)
@given(STEPS, SETTINGS)
def test_no_seven_days_see_more_retrainings_than_the_budget(steps, settings_):
    times = starts(live(steps, settings_), "retrain")
    for first in times:
        assert sum(first <= other < first + WEEK for other in times) <= settings_.weekly_budget


@settings(max_examples=60)
@given(STEPS, SETTINGS)
def test_a_freeze_wins(steps, settings_):
    for decision, history, now in live(steps, settings_):
        assert decision.action not in RUNS or freeze(history, now) is None


@settings(max_examples=60)
@given(STEPS, SETTINGS)
def test_missing_evidence_starts_no_run_and_a_missing_reference_only_an_ordered_one(steps, settings_):
    for decision, _, _ in live(steps, settings_):
        dispensable = {"no_reference"} if decision.override else set()
        assert decision.action not in RUNS or {one.kind for one in decision.report.missing} <= dispensable


@settings(max_examples=60)
@given(STEPS, SETTINGS)
def test_one_run_at_a_time_and_a_reason_for_everything(steps, settings_):
    for decision, history, _ in live(steps, settings_):
        ended = {entry.decision for entry in history if isinstance(entry, Outcome)}
        open_runs = [
            entry for entry in history if entry.kind == "decision" and entry.action in RUNS and entry.id not in ended
        ]
        assert len(open_runs) <= 1
        assert decision.action not in RUNS or not open_runs
        assert decision.reasons
