"""A challenger on trial, from the gate to the champion or back, whatever is killed in between."""

import shutil
from datetime import timedelta

import pytest
from click.testing import CliRunner
from promotion_records import gate_verdict, retraining

from gream.artifacts import content_digest
from gream.cli import main
from gream.errors import StoreError
from gream.monitoring.canary import Look
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Freeze, Outcome, Thaw, Trial
from gream.monitoring.settings import MonitoringSettings
from gream.objectstore import prune as prune_module
from gream.promotion import closing
from gream.promotion import trials as trials_module
from gream.promotion.champion import install, open_champion, promote
from gream.promotion.closing import OnTrial, Order, close_run
from gream.promotion.trials import Trials

pytestmark = pytest.mark.unit

DAY = 86_400
SETTINGS = MonitoringSettings(window_seconds=DAY, grace_seconds=600)


@pytest.fixture
def champion(tmp_path, bundle):
    """Where A is the champion."""
    place = open_champion(str(tmp_path / "champion"))
    install(place, bundle("A"))
    return place


@pytest.fixture
def canary(tmp_path):
    return open_champion(str(tmp_path / "canary"))


@pytest.fixture
def log(tmp_path):
    """Where a retraining has been decided."""
    log = DecisionLog(str(tmp_path / "decisions.jsonl"))
    log.append(retraining(DAY))
    return log


@pytest.fixture
def verdict(bundle):
    return gate_verdict(content_digest(bundle("A")), content_digest(bundle("B")))


@pytest.fixture
def order(tmp_path):
    return Order("retrain", "d1", str(tmp_path / "decisions.jsonl"), str(tmp_path / "canary"))


@pytest.fixture
def begin(champion, bundle, verdict, order, log):
    """The end of the run that was decided: B has passed the gate."""
    return lambda: close_run(champion, bundle("B"), verdict, order)


@pytest.fixture
def read_windows():
    return []


@pytest.fixture
def see_to(champion, canary, log, tmp_path, read_windows, monkeypatch):
    """A round of the monitor so many days after the trial began, which finds what it is told to find."""

    begun = []

    class Nothing:
        def begun_at(self, start):
            begun.append(start)
            return self

    def read(window):
        read_windows.append((window.start, window.end))
        return Nothing()

    monkeypatch.setattr(trials_module.Arm, "each", classmethod(lambda cls, evidence, versions, metric: versions))

    def see_to(days, finding="wait", meanwhile=None):
        looks = []

        def look_at(one, other, windows, settings):
            looks.append((one, other, windows))
            if meanwhile is not None:
                log.append(meanwhile)
            return Look(finding, "Told in the test.")

        monkeypatch.setattr(trials_module, "look_at", look_at)
        trials = [entry.at for entry in log.entries() if isinstance(entry, Trial)]
        now = (trials[-1] if trials else DAY) + round(days * DAY) + 600
        Trials(champion, canary, log, SETTINGS, read, tmp_path / "cache").see_to(now)
        assert set(begun) <= set(trials)  # What the champion did before the trial is no part of it.
        return looks

    return see_to


def outcomes(log):
    return [(entry.result, entry.text) for entry in log.entries() if isinstance(entry, Outcome)]


def digests(bundle, *names):
    return [content_digest(bundle(name)) for name in names]


def test_what_the_gate_accepts_goes_on_trial_and_the_champion_stays(begin, champion, canary, log, bundle):
    ending = begin()
    assert isinstance(ending, OnTrial)
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "A", "B")
    assert outcomes(log) == []
    assert begin() == ending
    assert len([entry for entry in log.entries() if isinstance(entry, Trial)]) == 1


def test_the_winner_becomes_the_champion(begin, see_to, champion, canary, log, bundle, read_windows):
    begin()
    a, b = (digest[:12] for digest in digests(bundle, "A", "B"))
    (begun,) = [entry.at for entry in log.entries() if isinstance(entry, Trial)]
    assert see_to(1.0 - 1 / DAY) == []  # In a second the grace of the first window is over.
    assert see_to(1.0) == [(b, a, 1)]
    assert see_to(1.5) == [(b, a, 1)]
    assert see_to(2.0, "promote") == [(b, a, 2)]
    assert read_windows == [(begun, begun + DAY), (begun, begun + DAY), (begun, begun + 2 * DAY)]
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "B", "B")
    assert outcomes(log) == [("promoted", f"{b} was made the champion. Told in the test.")]
    assert see_to(3.0, "withdraw") == []  # Over is over.
    assert champion.read().version == b


def test_a_winner_waits_for_the_end_of_a_freeze(begin, see_to, champion, canary, log, bundle):
    begin()
    log.append(Freeze(at=DAY, by="ada", reason="A sale is on."))
    assert see_to(2.0, "promote")
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "A", "B")
    assert outcomes(log) == []
    log.append(Thaw(at=3 * DAY, by="ada"))
    see_to(3.0, "promote")
    assert champion.read().digest == digests(bundle, "B")[0]


def test_the_loser_is_taken_back_by_itself(begin, see_to, champion, canary, log, bundle):
    begin()
    see_to(1.0, "withdraw")
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "A", "A")
    assert outcomes(log) == [("withdrawn", "Told in the test.")]


def test_without_a_trial_the_canary_follows_the_champion(see_to, champion, canary, bundle, verdict):
    see_to(0.0)
    assert canary.read().digest == champion.read().digest
    promote(champion, bundle("B"), verdict)
    see_to(0.0)
    assert canary.read().digest == content_digest(bundle("B"))
    moves = canary.read().number
    see_to(0.0)
    assert canary.read().number == moves


def test_a_person_ends_a_trial(begin, see_to, canary, champion, log):
    begin()
    log.append(Outcome(decision="d1", at=2 * DAY, result="failed", text="Customers complain."))
    assert see_to(1.0, "promote") == []
    assert canary.read().digest == champion.read().digest
    assert outcomes(log) == [("failed", "Customers complain.")]


def test_a_person_ends_a_trial_while_it_is_looked_at(begin, see_to, canary, champion, log, bundle):
    begin()
    complaint = Outcome(decision="d1", at=2 * DAY, result="failed", text="Customers complain.")
    assert len(see_to(2.0, "promote", meanwhile=complaint)) == 1
    assert champion.read().digest == content_digest(bundle("A"))
    see_to(2.0, "promote")
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "A", "A")
    assert outcomes(log) == [("failed", "Customers complain.")]


def test_a_trial_ends_at_once_where_another_champion_came_meanwhile(
    begin, see_to, champion, canary, log, bundle, verdict
):
    begin()
    third = content_digest(bundle("C"))
    promote(champion, bundle("C"), verdict.model_copy(update={"challenger": third}))
    assert see_to(0.1) == []
    ((result, text),) = outcomes(log)
    assert result == "refused"
    assert "compare again" in text
    assert [champion.read().digest, canary.read().digest] == [third, third]


def test_a_trial_that_was_won_is_not_lost_for_want_of_its_record(
    begin, see_to, champion, canary, log, bundle, monkeypatch
):
    begin()

    def away(*_):
        raise StoreError("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(trials_module, "record_ending", away)
        with pytest.raises(StoreError):
            see_to(2.0, "promote")
    assert see_to(3.0, "withdraw") == []
    assert outcomes(log) == [("promoted", f"{champion.read().version} was made the champion.")]
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "B", "B")


def test_a_winner_that_the_champions_place_has_lost_comes_from_the_canary(
    begin, see_to, champion, log, bundle, tmp_path
):
    begin()
    (b,) = digests(bundle, "B")
    shutil.rmtree(tmp_path / "champion" / "versions" / b)
    see_to(2.0, "promote")
    assert champion.read().digest == b
    assert [result for result, _ in outcomes(log)] == ["promoted"]


def test_what_is_on_trial_is_too_young_to_be_pruned(monkeypatch):
    ages = []
    monkeypatch.setattr(prune_module, "prune", lambda uri, keep, older_than, now: ages.append(older_than) or [])
    CliRunner().invoke(main, ["store", "prune", "s3://b/champion"], catch_exceptions=False)
    longest = timedelta(seconds=DAY * (MonitoringSettings().canary.max_windows + 1))
    assert ages[0] > longest


@pytest.mark.parametrize("step", ["settle", "record_ending", "follow_champion"])
def test_killed_before_any_step_of_the_end_the_next_round_goes_on(
    begin, see_to, champion, canary, log, bundle, monkeypatch, step
):
    begin()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trials_module, step, killed)
        with pytest.raises(KeyboardInterrupt):
            see_to(2.0, "promote")
    see_to(2.0, "promote")
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "B", "B")
    assert [result for result, _ in outcomes(log)] == ["promoted"]
    assert champion.read().number == 2


def test_killed_between_record_and_pointer_the_monitor_points_the_canary(
    begin, see_to, canary, bundle, monkeypatch, champion
):
    with monkeypatch.context() as patch:
        patch.setattr(closing, "name_canary", lambda *_: (_ for _ in ()).throw(StoreError("The store is away.")))
        with pytest.raises(StoreError):
            begin()
    see_to(0.0)
    assert [champion.read().digest, canary.read().digest] == digests(bundle, "A", "B")


def test_new_items_and_what_a_person_ordered_are_not_tried_out(champion, bundle, verdict, order, log, tmp_path):
    indexed = close_run(champion, bundle("B"), verdict, Order("index_new_items", "d1", order.decisions, order.canary))
    assert indexed.result == "indexed"
    assert not (tmp_path / "canary").exists()
