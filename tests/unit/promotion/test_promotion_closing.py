"""The end of a run: promoted or not, once, whatever was killed in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from promotion_records import gate_verdict

from gream.artifacts import content_digest
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Outcome
from gream.promotion import closing
from gream.promotion.champion import install, open_champion, promote, roll_back
from gream.promotion.closing import Ending, Order, close_run

pytestmark = pytest.mark.unit


@pytest.fixture
def place(tmp_path, bundle):
    """Where A is the champion."""
    place = open_champion(str(tmp_path / "champion"))
    install(place, bundle("A"))
    return place


@pytest.fixture
def log(tmp_path):
    return DecisionLog(str(tmp_path / "decisions.jsonl"))


@pytest.fixture
def order(tmp_path):
    return Order("retrain", "d1", str(tmp_path / "decisions.jsonl"))


@pytest.fixture
def verdict(bundle):
    def verdict(challenger="B", champion="A", accepted=True):
        return gate_verdict(content_digest(bundle(champion)), content_digest(bundle(challenger)), accepted)

    return verdict


def moves(place):
    return [state.version for state in place.history()]


def test_accepted_becomes_the_champion_and_the_record_says_so(place, bundle, verdict, order, log):
    ending = close_run(place, bundle("B"), verdict(), order)
    assert ending == Ending("promoted", f"{place.read().version} was made the champion.")
    assert place.read().digest == content_digest(bundle("B"))
    (outcome,) = log.entries()
    assert (outcome.decision, outcome.result, outcome.text) == ("d1", "promoted", ending.text)


def test_new_items_are_indexed_and_a_run_by_hand_records_nothing(place, bundle, verdict, log):
    ending = close_run(place, bundle("B"), verdict(), Order("index_new_items", "", ""))
    assert ending.result == "indexed"
    assert log.entries() == []


def test_refused_stays_out_with_the_gate_s_reasons(place, bundle, verdict, order, log):
    assert close_run(place, bundle("B"), verdict(accepted=False), order) == Ending("refused", "Told in the test.")
    assert len(moves(place)) == 1
    assert [entry.result for entry in log.entries()] == ["refused"]


def test_again_after_the_end_nothing_happens(place, bundle, verdict, order, log):
    judged = verdict()
    first = close_run(place, bundle("B"), judged, order)
    assert close_run(place, bundle("B"), judged, order) == first
    assert len(moves(place)) == 2
    assert len(log.entries()) == 1


def test_killed_between_the_pointer_and_the_record(place, bundle, verdict, order, log):
    judged = verdict()
    promote(place, bundle("B"), judged)
    assert close_run(place, bundle("B"), judged, order).result == "promoted"
    assert len(moves(place)) == 2
    assert [entry.result for entry in log.entries()] == ["promoted"]


def test_what_somebody_went_back_from_is_not_promoted_again(place, bundle, verdict, order):
    judged = verdict()
    promote(place, bundle("B"), judged)
    roll_back(place)
    assert close_run(place, bundle("B"), judged, order).result == "promoted"
    assert place.read().digest == content_digest(bundle("A"))


def test_the_same_bundle_with_a_verdict_of_today_is(place, bundle, verdict, order):
    """Indexing the same items for the same champion gives the same bundle, whatever became of it before."""
    promote(place, bundle("B"), verdict())
    roll_back(place)
    later = verdict().model_copy(update={"at": datetime.now(UTC) + timedelta(hours=1)})
    close_run(place, bundle("B"), later, order)
    assert place.read().digest == content_digest(bundle("B"))


@pytest.mark.parametrize(("seconds", "champion"), [(1, "A"), (300, "A"), (301, "B")])
def test_what_was_promoted_by_a_clock_that_is_behind_counts_as_promoted(
    place, bundle, verdict, order, seconds, champion
):
    promote(place, bundle("B"), verdict())
    since = place.read().since
    roll_back(place)
    close_run(place, bundle("B"), verdict().model_copy(update={"at": since + timedelta(seconds=seconds)}), order)
    assert place.read().digest == content_digest(bundle(champion))


def test_a_champion_of_somebody_else_is_not_replaced(place, bundle, verdict, order, log):
    judged = verdict()
    promote(place, bundle("C"), verdict("C"))
    ending = close_run(place, bundle("B"), judged, order)
    assert ending.result == "refused"
    assert "compare again" in ending.text
    assert place.read().digest == content_digest(bundle("C"))
    assert [entry.result for entry in log.entries()] == ["refused"]


def test_a_run_that_was_given_up_promotes_nothing(place, bundle, verdict, order, log):
    log.append(Outcome(decision="d1", at=1, result="failed", text="Node gone."))
    assert close_run(place, bundle("B"), verdict(), order) == Ending("failed", "Node gone.")
    assert len(moves(place)) == 1
    assert len(log.entries()) == 1


@pytest.mark.parametrize("canary", ["", "canary"])
def test_a_run_that_is_given_up_while_its_bundle_is_copied_promotes_nothing(
    place, bundle, verdict, order, log, tmp_path, monkeypatch, canary
):
    keep = place.keep

    def keep_slowly(challenger):
        log.append(Outcome(decision="d1", at=1, result="failed", text="Node gone."))
        return keep(challenger)

    monkeypatch.setattr(place, "keep", keep_slowly)
    order = replace(order, canary=canary and str(tmp_path / canary))
    assert close_run(place, bundle("B"), verdict(), order) == Ending("failed", "Node gone.")
    assert len(moves(place)) == 1
    assert [entry.kind for entry in log.entries()] == ["outcome"]


def test_of_two_that_close_at_once_the_record_keeps_the_first(place, bundle, verdict, order, log, monkeypatch):
    """Another process records its outcome after this one has looked and before it writes."""
    settle = closing.settle

    def settle_slowly(*arguments):
        ending = settle(*arguments)
        log.append(Outcome(decision="d1", at=1, result="failed", text="Given up meanwhile."))
        return ending

    monkeypatch.setattr(closing, "settle", settle_slowly)
    assert close_run(place, bundle("B"), verdict(), order) == Ending("failed", "Given up meanwhile.")
    assert len(log.entries()) == 1
