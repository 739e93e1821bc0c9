"""Every branch of the decision, by hand."""

import pytest
from monitoring_reports import DAY, START, report
from promotion_records import gate_verdict

from gream.monitoring.decision import DecisionSettings, decide, freeze, on_trial, running
from gream.monitoring.entries import NO_END, Freeze, Outcome, Override, Thaw, Trial

pytestmark = pytest.mark.unit

SETTINGS = DecisionSettings()
NOW = START + DAY
"""When the first day is over."""


def on(day, *history, settings=SETTINGS, **what):
    """The decision on a day, made when it is over."""
    return decide(report(day, **what), history, NOW + day * DAY, settings)


def ended(decision, result="promoted"):
    return Outcome(decision=decision.id, at=decision.at + 3_600, result=result)


@pytest.mark.parametrize(
    ("what", "action", "reason"),
    [
        ({}, "nothing", "No alarm: 20 of 20 monitors had enough to go by."),
        ({"unmeasured": ["hit_rate", "ndcg"]}, "nothing", "No alarm: 18 of 20 monitors had enough to go by."),
        ({"missing": ["silent"]}, "page", "Missing: silent."),
        ({"missing": ["unreadable"]}, "page", "Missing: unreadable."),
        ({"missing": ["no_feedback"], "alarms": ["click_rate"]}, "page", "Missing: no_feedback."),
        ({"missing": ["few_users"]}, "warn", "Missing: few_users."),
        ({"missing": ["no_reference", "few_users"]}, "warn", "Missing: no_reference."),
        ({"missing": ["no_reference"]}, "nothing", "Missing: no_reference."),
        ({"missing": ["no_reference"], "skew": ["category"]}, "warn", "Missing: no_reference."),
        ({"missing": ["no_reference", "silent"], "skew": ["category"]}, "page", "Missing: no_reference."),
        ({"alarms": ["late_feedback"]}, "page", "late_feedback alarms: 0.500, above 0.200, over 300 users."),
        ({"alarms": ["degraded"]}, "page", "degraded alarms: 0.500, above 0.200, over 300 users."),
        ({"alarms": ["latency", "hit_rate"]}, "page", "latency alarms: 0.500, above 0.200, over 300 users."),
        ({"alarms": ["hit_rate"]}, "retrain", "hit_rate alarms: 0.500, above 0.200, over 300 users."),
        ({"alarms": ["click_rate", "ndcg"]}, "retrain", "ndcg alarms: 0.500, above 0.200, over 300 users."),
        ({"counts": ["collisions"]}, "retrain", "collisions: 50.0%, the limit is 10.0%. In the test."),
        ({"alarms": ["category"]}, "warn", "category alarms: 0.500, above 0.200, over 300 users."),
        ({"alarms": ["novelty"]}, "warn", "novelty alarms: 0.500, above 0.200, over 300 users."),
        ({"counts": ["new_items"]}, "index_new_items", "new_items: 50.0%, the limit is 10.0%. In the test."),
        (
            {"alarms": ["new_item_demand"]},
            "index_new_items",
            "new_item_demand alarms: 0.500, above 0.200, over 300 users.",
        ),
        ({"counts": ["bare_texts"]}, "warn", "bare_texts: 50.0%, the limit is 10.0%. In the test."),
        (
            {"counts": ["bare_texts", "new_items"]},
            "index_new_items",
            "new_items: 50.0%, the limit is 10.0%. In the test.",
        ),
    ],
)
def test_what_a_window_asks_for(what, action, reason):
    decision = on(0, **what)
    assert decision.action == action
    assert decision.reasons[0] == reason
    assert decision.report == report(0, **what)
    assert decision.at == NOW


def test_items_that_the_catalog_lacks_too_are_not_indexed():
    asked = report(0, alarms=["new_item_demand"])
    none_new = tuple(one.model_copy(update={"value": 0.0}) for one in asked.counts)
    decision = decide(asked.model_copy(update={"counts": none_new}), [], NOW, SETTINGS)
    assert (decision.action, decision.reasons) == (
        "warn",
        ("new_item_demand alarms: 0.500, above 0.200, over 300 users.", "They are not in the catalog: publish it."),
    )
    uncounted = decide(asked.model_copy(update={"counts": ()}), [], NOW, SETTINGS)
    assert uncounted.action == "index_new_items"


@pytest.mark.parametrize("unmeasured", [[], ["hit_rate", "ndcg"]])
def test_fewer_clicks_alone_may_be_feedback_that_is_lost_and_train_nothing(unmeasured):
    decision = on(0, alarms=["click_rate"], unmeasured=unmeasured)
    assert decision.action == "warn"
    assert decision.reasons[-1] == "No other quality alarms: feedback, or what it names, may be lost on its way."
    assert on(1, decision, alarms=["click_rate"], counts=["new_items"]).action == "index_new_items"


def test_skew_is_told_in_words():
    decision = on(0, missing=["no_reference"], skew=["category"])
    assert decision.reasons == ("Missing: no_reference.", "category: 50.0%, the limit is 10.0%. In the test.")
    assert decision.report.alarms == ("category",)


def test_quality_and_drift_are_told_together():
    decision = on(0, alarms=["hit_rate", "category"])
    assert [reason.split()[0] for reason in decision.reasons] == ["hit_rate", "category"]


def test_drift_that_lasts_retrains():
    first = on(0, alarms=["category"])
    second = on(1, first, alarms=["shown_level1"])
    third = on(2, first, second, alarms=["category"])
    assert [first.action, second.action, third.action] == ["warn", "warn", "retrain"]
    assert third.reasons[-1] == "It has lasted 3 windows."


def test_a_quality_alarm_waits_for_something_to_learn_from_where_that_is_set():
    settings = DecisionSettings(quality_windows=3)
    first = on(0, settings=settings, alarms=["category"])
    second = on(1, first, settings=settings, alarms=["hit_rate"])
    third = on(2, first, second, settings=settings, alarms=["hit_rate", "category"])
    assert [first.action, second.action, third.action] == ["warn", "warn", "retrain"]
    assert second.reasons[-1] == "A retraining waits for 3 windows of alarms; this is 2."
    assert [reason.split()[0] for reason in third.reasons] == ["hit_rate", "category"]


def test_a_quality_alarm_that_waits_holds_no_indexing_back():
    decision = on(0, settings=DecisionSettings(quality_windows=2), alarms=["hit_rate"], counts=["new_items"])
    assert decision.action == "index_new_items"
    assert [reason.split()[0] for reason in decision.reasons] == ["new_items:", "hit_rate", "A"]


def test_drift_that_pauses_begins_anew():
    first = on(0, alarms=["category"])
    pause = on(1, first)
    assert on(2, first, pause, alarms=["category"]).action == "warn"


def test_drift_of_another_champion_does_not_count():
    earlier = [on(day, alarms=["category"], version="older") for day in (0, 1)]
    assert on(2, *earlier, alarms=["category"]).action == "warn"


def test_drift_goes_on_where_the_champion_only_got_new_items():
    history = [on(0, alarms=["category"], version="a"), on(1, alarms=["category"], version="b", reference_of="a")]
    assert on(2, *history, alarms=["category"], version="c", reference_of="a").action == "retrain"


def test_drift_alone_never_retrains_where_that_is_set():
    patient = DecisionSettings(drift_windows=0)
    history = []
    for day in range(6):
        history.append(on(day, *history, settings=patient, alarms=["category"]))
    assert {decision.action for decision in history} == {"warn"}


def test_lasting_drift_without_feedback_does_not_retrain():
    unmeasured = ["hit_rate", "ndcg"]  # A rate of clicks there is all the same: 0.
    history = [on(day, alarms=["category"]) for day in (0, 1)]
    decision = on(2, *history, alarms=["category"], unmeasured=unmeasured)
    assert decision.action == "warn"
    assert decision.reasons[-1] == "It has lasted 3 windows, but there is no feedback to train on."


def test_one_run_at_a_time():
    first = on(0, alarms=["hit_rate"])
    assert running([first]) == first
    for what in ({"alarms": ["hit_rate"]}, {"counts": ["new_items"]}):
        second = on(1, first, **what)
        assert second.action == "warn"
        assert "The run that was decided at 2024-10-05 00:00 UTC is still under way." in second.reasons
    assert running([first, ended(first)]) is None


def test_a_run_that_never_reports_back_is_paged_and_blocks():
    lost = on(0, alarms=["hit_rate"])
    late = decide(report(1, alarms=["hit_rate"]), [lost], lost.at + DAY + 1, SETTINGS)
    assert late.action == "page"
    assert late.reasons[0].startswith("The run that was decided at 2024-10-05 00:00 UTC never reported back.")
    closed = [lost, ended(lost, "failed")]
    assert on(4, *closed, alarms=["hit_rate"]).action == "retrain"


def test_a_trial_may_last_and_holds_other_runs_back_until_it_ends():
    first = on(0, alarms=["hit_rate"])
    trial = Trial(decision=first.id, at=first.at + 3_600, verdict=gate_verdict("a" * 64, "b" * 64))
    assert on_trial([first]) is None
    assert on_trial([first, trial]) == trial
    later = on(4, first, trial, alarms=["hit_rate"])
    assert later.action == "warn"
    assert "The run that was decided at 2024-10-05 00:00 UTC is still under way." in later.reasons
    assert on_trial([first, trial, ended(first, "withdrawn")]) is None
    assert on(4, first, trial, ended(first, "withdrawn"), alarms=["hit_rate"]).action == "retrain"


@pytest.mark.parametrize(("day", "action"), [(1, "warn"), (2, "warn"), (3, "retrain")])
def test_retraining_cools_down_for_three_days(day, action):
    first = on(0, alarms=["hit_rate"])
    decision = on(day, first, ended(first, "refused"), alarms=["hit_rate"])
    assert decision.action == action
    if action == "warn":
        assert decision.reasons[-2:] == (
            "Retraining is held back.",
            "Retraining cools down until 2024-10-08 00:00 UTC.",
        )


@pytest.mark.parametrize(
    ("what", "days", "settings"),
    [
        ({"alarms": ["hit_rate"]}, 3, SETTINGS),
        ({"counts": ["new_items"]}, 1, SETTINGS),
        ({"alarms": ["hit_rate"]}, 7, DecisionSettings(weekly_budget=1)),
    ],
)
def test_a_round_that_came_late_makes_the_next_run_wait_no_longer(what, days, settings):
    first = decide(report(0, **what), [], NOW + 90, settings)
    again = on(days, first, ended(first), settings=settings, **what)
    assert again.action == first.action != "warn"


def test_a_clock_that_was_set_back_does_not_end_the_cool_down():
    first = on(5, alarms=["hit_rate"])
    again = decide(report(6, alarms=["hit_rate"]), [first, ended(first)], NOW, SETTINGS)
    assert again.action == "warn"


def test_the_budget_of_a_week():
    eager = DecisionSettings(cooldown_seconds=DAY, weekly_budget=2)
    history = []
    for day in range(8):
        decision = on(day, *history, settings=eager, alarms=["hit_rate"])
        history += [decision, ended(decision, "refused")] if decision.action == "retrain" else [decision]
    actions = [entry.action for entry in history if entry.kind == "decision"]
    assert actions == ["retrain", "retrain", "warn", "warn", "warn", "warn", "warn", "retrain"]
    assert history[4].reasons[-1] == "Retrainings that started within seven days: 2; the budget is 2."


def test_a_clock_that_was_set_back_does_not_refill_the_budget():
    once = DecisionSettings(cooldown_seconds=0, weekly_budget=1)
    first = on(5, settings=once, alarms=["hit_rate"])
    again = decide(report(6, alarms=["hit_rate"]), [first, ended(first)], NOW, once)
    assert again.reasons[-1] == "Retrainings that started within seven days: 1; the budget is 1."


def test_indexing_has_a_pause_of_its_own_and_no_budget():
    quick = DecisionSettings(index_cooldown_seconds=2 * DAY)
    first = on(0, counts=["new_items"])
    second = on(1, first, ended(first, "indexed"), settings=quick, counts=["new_items"])
    assert second.reasons[-1] == "Indexing new items cools down until 2024-10-07 00:00 UTC."
    third = on(1, first, ended(first, "indexed"), settings=quick, alarms=["hit_rate"])
    assert third.action == "retrain"


@pytest.mark.parametrize("result", ["failed", "refused"])
def test_indexing_that_came_to_nothing_is_told_and_waits_as_long_as_a_retraining(result):
    first = on(0, counts=["new_items"])
    end = Outcome(decision=first.id, at=first.at + 60, result=result, text="Nobody took an item.")
    for day in (1, 2):
        again = on(day, first, end, counts=["new_items"])
        assert (again.action, again.reasons[-1]) == (
            "warn",
            f"The last run that indexed new items ended, {result}: Nobody took an item. "
            "The next one waits until 2024-10-08 00:00 UTC.",
        )
    assert on(3, first, end, counts=["new_items"]).action == "index_new_items"
    assert on(1, first, end, counts=["new_items"], version="another").action == "index_new_items"
    assert on(1, first, end, order("index_new_items", until=NOW + 9 * DAY), counts=["new_items"]).override == "o1"


def test_a_freeze_holds_every_run_back():
    order = Freeze(at=NOW, by="ada", reason="A sale is on.")
    for what in ({"alarms": ["hit_rate"]}, {"counts": ["new_items"]}):
        decision = on(0, order, **what)
        assert decision.action == "warn"
        assert decision.reasons[-1] == "Frozen by ada at 2024-10-05 00:00 UTC: A sale is on."
    assert on(0, order, alarms=["degraded"]).action == "page"
    assert on(0, order).action == "nothing"


def test_a_freeze_ends_by_its_time_or_by_a_thaw():
    until = Freeze(at=NOW - 10, by="ada", reason="For now.", until=NOW + 10)
    assert freeze([until], NOW + 9) == until
    assert freeze([until], NOW + 10) is None
    forever = Freeze(at=NOW, by="ada", reason="For good.")
    assert freeze([forever, Thaw(at=NOW + 1, by="bob")], NOW + 2) is None
    assert on(0, forever, Thaw(at=NOW, by="bob"), alarms=["hit_rate"]).action == "retrain"


def order(action, until=NOW + DAY):
    return Override(id="o1", at=NOW - 60, by="ada", action=action, reason="I know better.", until=until)


def test_an_override_takes_the_place_of_what_monitors_ask_for_once():
    calm = on(0, order("retrain"))
    assert (calm.action, calm.override, calm.reasons) == ("retrain", "o1", ("Ordered by ada: I know better.",))
    assert on(1, order("nothing", until=NOW + 9 * DAY), calm, ended(calm), alarms=["hit_rate"]).action == "warn"
    alarmed = on(0, order("nothing"), alarms=["hit_rate"])
    assert (alarmed.action, alarmed.override) == ("nothing", "o1")


def test_an_override_needs_no_reference_but_all_other_evidence():
    assert on(0, order("retrain"), missing=["no_reference"]).action == "retrain"
    decision = on(0, order("retrain"), missing=["no_reference", "few_users"])
    assert decision.action == "warn"
    assert decision.reasons[-1] == "Evidence is missing: Missing: few_users."


def test_an_override_runs_out_where_it_says_so_and_waits_otherwise():
    assert on(0, order("retrain", until=NOW)).action == "nothing"
    assert on(9, order("retrain", until=NO_END)).override == "o1"


def test_an_override_takes_the_place_of_an_earlier_one():
    later = order("nothing").model_copy(update={"id": "o2"})
    calm = on(0, order("retrain", until=NO_END), later)
    assert (calm.action, calm.override) == ("nothing", "o2")
    assert on(1, order("retrain", until=NO_END), later, calm).override is None


@pytest.mark.parametrize(
    ("history", "what"),
    [
        ([Freeze(at=NOW, by="bob", reason="Stop.")], {}),
        ([], {"missing": ["few_users"]}),
        ([on(-1, alarms=["hit_rate"])], {}),
    ],
)
def test_an_override_does_not_lift_what_forbids_a_run_and_waits(history, what):
    decision = on(0, order("retrain"), *history, **what)
    assert (decision.action, decision.override) == ("warn", None)
    later = on(0, order("retrain"), decision)
    assert later == decision


def test_an_order_that_is_held_back_silences_no_alarm():
    frozen = Freeze(at=NOW, by="bob", reason="Stop.")
    ordered, held_back = "Ordered by ada: I know better.", "Retraining is held back."
    stop = "Frozen by bob at 2024-10-05 00:00 UTC: Stop."
    paged = on(0, order("retrain"), frozen, alarms=["degraded"])
    degraded = "degraded alarms: 0.500, above 0.200, over 300 users."
    assert (paged.action, paged.override, paged.reasons) == ("page", None, (ordered, degraded, held_back, stop))
    warned = on(0, order("retrain"), frozen, counts=["bare_texts"])
    bare = "bare_texts: 50.0%, the limit is 10.0%. In the test."
    assert (warned.action, warned.reasons) == ("warn", (ordered, bare, held_back, stop))
    calm = on(0, order("retrain"), frozen)
    assert (calm.action, calm.reasons) == ("warn", (ordered, held_back, stop))
    silent = on(0, order("retrain"), missing=["silent"])
    missing = "Evidence is missing: Missing: silent."
    assert (silent.action, silent.reasons) == ("page", (ordered, held_back, missing))  # Told once.


def test_a_window_is_decided_once():
    first = on(0, alarms=["hit_rate"])
    again = decide(report(0), [first, ended(first)], NOW + 9 * DAY, SETTINGS)
    assert again is first


def test_a_window_that_comes_late_starts_no_run():
    newer = on(5)
    decision = on(0, newer, alarms=["hit_rate"])
    assert decision.action == "warn"
    assert decision.reasons[-1] == "A later window has been decided already."
