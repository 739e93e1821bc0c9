"""`gream status`: what on-call sees on one screen."""

from datetime import UTC, datetime

import pytest
from monitoring_reports import DAY, START, report
from promotion_records import gate_verdict, retraining

from gream.monitoring.decision import DecisionSettings, decide
from gream.monitoring.entries import Freeze, Outcome, Override, Trial
from gream.monitoring.status import describe_status
from gream.promotion.champion import Champion

pytestmark = pytest.mark.unit

CHAMPION = Champion(digest="ab" * 32, since=datetime.fromtimestamp(START, UTC), number=3)
VERSION = CHAMPION.version
NOW = START + 4 * DAY


def decided(*reports):
    history = []
    for one in reports:
        history.append(decide(one, history, one.end, DecisionSettings()))
    return history


def line_of(text, monitor):
    (line,) = [line for line in text.splitlines() if f" {monitor:18} " in line]
    return line


def test_the_champion_its_monitors_and_the_last_decisions():
    quiet, worse = report(0, version=VERSION), report(1, alarms=["hit_rate"], version=VERSION)
    text = describe_status(CHAMPION, {}, decided(quiet, worse, report(2, unmeasured=["ndcg"], version=VERSION)), NOW)
    assert text.startswith(f"Champion {VERSION}, move 3, since 2024-10-04 00:00 UTC (4.0 days).\nUnder way: retrain, ")
    assert "Monitors over 3 windows" in text
    assert line_of(text, "hit_rate").endswith("▃█▃  0.100 of 0.200")  # 0.1, 0.5 and 0.1, each of 0.2.
    assert line_of(text, "ndcg").endswith("▃▃·  too few users")
    assert text.count("retrain, champion") == 1
    assert "    hit_rate alarms" in text


def test_a_trial_is_seen_until_it_ends():
    run = retraining(START)
    trial = Trial(decision=run.id, at=START + DAY, verdict=gate_verdict(CHAMPION.digest, "cd" * 32))
    text = describe_status(CHAMPION, {}, [run, trial], NOW)
    assert "\nOn trial: cdcdcdcdcdcd, since 2024-10-05 00:00 UTC.\n" in text
    assert f"run d1: on trial, cdcdcdcdcdcd beside {VERSION}" in text
    over = Outcome(decision=run.id, at=NOW, result="withdrawn", text="It is worse.")
    assert "On trial: " not in describe_status(CHAMPION, {}, [run, trial, over], NOW)


def test_an_alarm_is_written_out():
    text = describe_status(CHAMPION, {}, decided(report(0, ["latency"], version=VERSION)), NOW)
    assert line_of(text, "latency").endswith("█  0.500 of 0.200  ALARM")


def test_the_champions_metrics_are_those_that_it_carries():
    text = describe_status(CHAMPION, {"recall@10": 0.2195, "ndcg@10": 0.1171}, [], NOW)
    assert text.splitlines()[1] == "Measured when it was trained: recall@10 0.2195, ndcg@10 0.1171."


def test_without_a_reference_the_training_data_stand_in():
    text = describe_status(
        CHAMPION, {}, decided(report(0, missing=["no_reference"], skew=["category"], version=VERSION)), NOW
    )
    assert "only its training data were compared" in text
    assert line_of(text, "category").endswith("50.0%, limit 10%  ALARM")
    assert line_of(text, "last_level1").endswith("5.0%, limit 10%")


def test_only_the_champions_own_windows_are_drawn():
    text = describe_status(CHAMPION, {}, decided(report(0, version="older"), report(1, version=VERSION)), NOW)
    assert "Monitors over 1 windows" in text
    assert "Last of 2 entries" in text


def test_a_freeze_is_seen_and_an_empty_record_too():
    text = describe_status(None, {}, [Freeze(at=START, by="ann", reason="A sale is on.")], NOW)
    assert text.startswith("There is no champion.\nNo run is under way.\nFrozen by ann at 2024-10-04 00:00 UTC: A sale")
    assert describe_status(CHAMPION, {}, [], NOW).endswith("Nothing decided.")


def test_an_order_is_seen_until_it_is_carried_out():
    order = Override(id="o1", at=START, by="ann", action="nothing", reason="The outage is known.")
    what = "nothing, ordered by ann at 2024-10-04 00:00 UTC: The outage is known.\n"
    assert f"\nWaits for the next decision: {what}" in describe_status(CHAMPION, {}, [order], NOW)
    short = order.model_copy(update={"until": NOW})
    assert f"\nWaits for the next decision: {what}" in describe_status(CHAMPION, {}, [short], NOW - 1)
    assert f"\nRan out unused: {what}" in describe_status(CHAMPION, {}, [short], NOW)
    quiet = report(0, version=VERSION)
    gone = order.model_copy(update={"until": quiet.end - 1})
    later = [gone, decide(quiet, [gone], quiet.end, DecisionSettings())]
    assert "The outage is known" not in describe_status(CHAMPION, {}, later, NOW).partition("Monitors")[0]
    followed = [order, decide(quiet, [order], quiet.end, DecisionSettings())]
    assert "The outage is known" not in describe_status(CHAMPION, {}, followed, NOW).partition("Monitors")[0]


def test_a_champion_that_was_not_judged_yet_says_so():
    text = describe_status(CHAMPION, {}, decided(report(0, version="older")), NOW)
    assert "No window of this champion has been judged yet." in text
    assert "reference" not in text


def test_a_monitor_without_a_threshold_is_told_apart_from_one_with_too_few_users():
    some = report(0, unmeasured=["hit_rate", "ndcg"], version=VERSION)
    blind = [
        one.model_copy(update={"threshold": None, "users": 300}) if one.name == "ndcg" else one for one in some.results
    ]
    text = describe_status(CHAMPION, {}, decided(some.model_copy(update={"results": tuple(blind)})), NOW)
    assert line_of(text, "hit_rate").endswith("·  too few users")
    assert line_of(text, "ndcg").endswith("·  no threshold")
