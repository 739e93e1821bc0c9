"""Rounds of the monitor on written evidence: each window once, in order, its run once, whatever breaks in between."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from promotion_records import gate_verdict, retraining

from gream.artifacts import atomic_folder
from gream.cli import main
from gream.data.catalog import Catalog, CatalogFacts
from gream.errors import ArtifactError, ConfigError, StoreError
from gream.indexing.semantic_index import SemanticIndex
from gream.monitoring import commands, patrol
from gream.monitoring.calibration import CalibrationSettings
from gream.monitoring.decision import DecisionSettings
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Decision, Freeze, Outcome, Thaw, Trial
from gream.monitoring.paging import PagingError
from gream.monitoring.patrol import Patrol, Places
from gream.monitoring.request_log import RequestLog
from gream.monitoring.runs import RunOrder
from gream.monitoring.settings import MonitoringSettings
from gream.policy.bundle import PolicyFacts
from gream.profile_files import load_profile
from gream.promotion import champion_folder
from gream.promotion.champion import install, open_champion, roll_back

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
HOUR = 3_600
START = 20_000 * 86_400
"""When the champion moved in; a window begins at this very second."""
USERS = 60
SETTINGS = MonitoringSettings(
    window_seconds=HOUR,
    match_seconds=0,
    grace_seconds=600,
    hold_out_seconds=HOUR // 2,
    calibration=CalibrationSettings(false_alarm_rate=0.1, replicates=100, min_windows=4, min_users=20),
    decision=DecisionSettings(drift_windows=0),
)


FACTS = PolicyFacts.of(load_profile("laptop"), "shop", "sft", 0, trained_until=5)


class FakeRuns:
    """Whoever runs retrainings, seen from outside."""

    def __init__(self):
        self.started = []
        self.states = {}
        self.broken = False

    def state(self, decision):
        if self.broken:
            raise StoreError("KFP does not answer.")
        return self.states.get(decision, "unknown")

    def start(self, order):
        if self.broken:
            raise StoreError("KFP does not answer.")
        self.started.append(order)
        self.states[order.decision] = "running"


@pytest.fixture
def runs():
    return FakeRuns()


@pytest.fixture
def places(tmp_path, monkeypatch):
    items = pl.DataFrame(
        {
            "item_id": [f"m{number}" for number in range(6)],
            "title": [f"Film {number}" for number in range(6)],
            "description": ["Somebody meets somebody and much happens to both."] * 6,
            "brand": [""] * 6,
            "categories": [["Drama"], ["Comedy"]] * 3,
        }
    )
    events = pl.DataFrame({"user_id": ["u"] * 6, "item_id": items["item_id"], "timestamp": range(6)})
    Catalog(events, items, CatalogFacts(dataset="shop", source="test", exclude_seen=True)).save(tmp_path / "catalog")
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]], dtype=np.int32)
    index = SemanticIndex.from_codes(items["item_id"].to_list(), codes, (3, 2))
    with atomic_folder(tmp_path / "bundle", "policy") as folder:
        index.save(folder / "semantic_index")
        items.write_parquet(folder / "items.parquet")
        (folder / "policy.json").write_text(FACTS.model_dump_json())

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(START, tz)

    monkeypatch.setattr(champion_folder, "datetime", Clock)
    install(open_champion(str(tmp_path / "champion")), tmp_path / "bundle")
    return Places(
        champion=str(tmp_path / "champion"),
        catalog=str(tmp_path / "catalog"),
        evidence=str(tmp_path / "evidence"),
        decisions=str(tmp_path / "decisions.jsonl"),
        calibrations=str(tmp_path / "calibrations"),
        evidently="",
        alertmanager="",
        cache=tmp_path / "cache",
    )


@pytest.fixture
def log(places):
    return DecisionLog(places.decisions)


@pytest.fixture
def version(places):
    return open_champion(places.champion).read().version


@pytest.fixture
def serve(places, request_row, version):
    """One request of each user in an hour, by default as many dramas as comedies; lists are good while `items` are."""

    def serve(*hours, comedies=4, version=version):
        for hour in hours:
            RequestLog(Path(places.evidence)).write(
                request_row(
                    f"{hour}-{number}",
                    user=f"u{number:02}",
                    timestamp=START + hour * HOUR + number,
                    top_category="Comedy" if number % comedies == hour % comedies else "Drama",
                    policy_version=version,
                )
                for number in range(USERS)
            )

    return serve


@pytest.fixture
def go_round(places, runs):
    """A round so many hours after the champion moved in, when the grace of that window is just over."""

    def go_round(hours, settings=SETTINGS):
        return Patrol(places, KEY, settings, runs).round(START + hours * HOUR + settings.grace_seconds)

    return go_round


def windows(decisions):
    return [(one.report.start - START) // HOUR for one in decisions]


def test_every_window_is_decided_once_and_in_order(serve, go_round, log):
    serve(0, 1, 2)
    assert windows(go_round(2)) == [0, 1]
    assert windows(go_round(2)) == []
    serve(3, 4, 5)
    assert windows(go_round(6)) == [2, 3, 4, 5]
    assert windows(log.entries()) == [0, 1, 2, 3, 4, 5]


def test_a_round_without_a_window_that_is_due_looks_at_no_catalog(serve, go_round, places):
    serve(0)
    away = Path(places.catalog).rename(f"{places.catalog}.away")
    assert go_round(0) == []
    with pytest.raises(ArtifactError, match="catalog"):
        go_round(1)
    away.rename(places.catalog)
    assert windows(go_round(1)) == [0]
    away = Path(places.catalog).rename(away)
    assert go_round(1) == []


def test_a_window_is_left_alone_until_its_grace_is_over(serve, places, runs):
    serve(0)
    patrol, end = Patrol(places, KEY, SETTINGS, runs), START + HOUR
    assert patrol.round(end + SETTINGS.grace_seconds - 1) == []
    assert windows(patrol.round(end + SETTINGS.grace_seconds)) == [0]


def test_a_champion_that_moved_in_within_a_window_is_judged_from_the_next_one_on(serve, go_round):
    serve(0, 1, 2, 3)
    settings = SETTINGS.model_copy(update={"window_seconds": 6_300})
    assert START % 6_300 == 4_500  # Half an hour before the end of a window.
    assert [one.report.start - START for one in go_round(4, settings)] == [1_800, 8_100]


def test_the_first_healthy_windows_are_the_reference_and_are_kept(serve, go_round, places, version, tmp_path):
    serve(0, 1, 2, 4, 5)
    decided = go_round(6)
    assert [bool(one.report.results) for one in decided] == [False] * 5 + [True]  # Hour 3 was empty.
    assert (tmp_path / "calibrations" / f"{version}.json").is_file()


def test_a_retraining_is_started_once_and_nothing_is_judged_behind_it(serve, go_round, runs, log, new_items):
    serve(*range(8))
    go_round(5)
    new_items()
    (decision,) = go_round(8)
    assert (decision.action, windows([decision])) == ("index_new_items", [5])
    end = START + 6 * HOUR
    assert runs.started == [RunOrder(decision.id, "index_new_items", end, end - HOUR // 2, end % 2**31)]
    assert windows(go_round(8)) == [6, 7]
    assert len(runs.started) == 1
    log.close(Outcome(decision=decision.id, at=end, result="indexed"))


@pytest.fixture
def new_items(places):
    """The catalog gets two films that the champion lacks."""

    def new_items():
        catalog = Catalog.load(Path(places.catalog))
        more = catalog.items.head(2).with_columns(("n" + pl.col("item_id")).alias("item_id"))
        Catalog(catalog.interactions, pl.concat([catalog.items, more]), catalog.facts).save(Path(places.catalog))

    return new_items


def test_a_run_that_could_not_be_started_is_started_by_the_next_round(serve, go_round, runs, log, new_items):
    serve(*range(7))
    go_round(5)
    new_items()
    runs.broken = True
    with pytest.raises(StoreError, match="KFP does not answer"):
        go_round(6)
    assert log.entries()[-1].action == "index_new_items"  # What was decided is recorded all the same.
    with pytest.raises(StoreError, match="KFP does not answer"):
        go_round(7)
    assert windows(log.entries()) == list(range(7))  # And judging goes on meanwhile.
    runs.broken = False
    go_round(7)
    assert [order.decision for order in runs.started] == [log.entries()[5].id]


def test_a_run_that_a_store_breaks_off_in_every_round_is_paged(serve, go_round, runs, log, new_items):
    serve(*range(8))
    go_round(5)
    new_items()
    runs.broken = True
    settings = SETTINGS.model_copy(update={"decision": DecisionSettings(drift_windows=0, run_timeout_seconds=HOUR + 1)})
    for hours in (6, 7, 8):
        with pytest.raises(StoreError, match="does not answer"):
            go_round(hours, settings)
    started, waited, paged = log.entries()[5:]
    assert [one.action for one in (started, waited, paged)] == ["index_new_items", "warn", "page"]
    assert "never reported back. Look at it, and record its outcome" in paged.reasons[0]


def test_a_freeze_holds_a_run_back_that_was_decided_before_it(serve, go_round, runs, log, new_items):
    serve(*range(7))
    go_round(5)
    new_items()
    runs.broken = True
    with pytest.raises(StoreError):
        go_round(6)
    runs.broken = False
    log.append(Freeze(at=START, by="ada", reason="A sale is on."))
    go_round(6)
    assert runs.started == []
    log.append(Thaw(at=START, by="ada"))
    go_round(6)
    assert [order.decision for order in runs.started] == [log.entries()[5].id]


def test_a_page_that_nobody_got_is_sent_again(serve, go_round, places, runs, monkeypatch):
    told = []

    def tell(url, decision, until):
        told.append(decision.id)
        if len(told) == 1:
            raise PagingError("Alertmanager does not answer.")

    monkeypatch.setattr(patrol, "tell", tell)
    paged = replace(places, alertmanager="http://alertmanager")
    end = START + HOUR + SETTINGS.grace_seconds
    (decision,) = Patrol(paged, KEY, SETTINGS, runs).round(end)
    assert decision.action == "page"  # Nothing was logged.
    Patrol(paged, KEY, SETTINGS, runs).round(end + 60)
    assert told == [decision.id] * 2
    Patrol(paged, KEY, SETTINGS, runs).round(end + HOUR - 1)
    assert told == [decision.id] * 3


def test_every_decision_is_told_again_until_the_next_window_has_been_judged(places, runs, monkeypatch):
    told = []

    def tell(url, decision, until):
        told.append((decision.id, until))
        raise PagingError("Alertmanager does not answer.")

    monkeypatch.setattr(patrol, "tell", tell)
    paged, now = replace(places, alertmanager="http://alertmanager"), START + 2 * HOUR + SETTINGS.grace_seconds
    first, second = Patrol(paged, KEY, SETTINGS, runs).round(now)
    until = now + HOUR + SETTINGS.grace_seconds + HOUR  # The next round but one, where one comes every hour.
    assert told == [(first.id, until), (second.id, until)]
    Patrol(paged, KEY, SETTINGS, runs).round(now + 60)
    assert told[2:] == told[:2]
    Patrol(paged, KEY, SETTINGS, runs).round(until)
    assert {first.id, second.id}.isdisjoint(name for name, _ in told[4:])


def test_a_run_that_failed_is_closed(serve, go_round, runs, log, new_items):
    serve(*range(6))
    go_round(5)
    new_items()
    (decision,) = go_round(6)
    runs.states[decision.id] = "failed"
    go_round(6)
    go_round(6)
    (outcome,) = [entry for entry in log.entries() if not isinstance(entry, Decision)]
    assert (outcome.decision, outcome.result) == (decision.id, "failed")
    assert outcome.text == "The run ended without an outcome: look at it, and at who is the champion."


def test_a_trial_without_a_canary_to_look_at_is_said_and_windows_are_judged_all_the_same(serve, go_round, runs, log):
    serve(0)
    log.append(retraining(START), Trial(decision="d1", at=START, verdict=gate_verdict("a" * 64, "b" * 64)))
    with pytest.raises(ConfigError, match="the monitor was not told where the canary stands: give --canary"):
        go_round(1)
    assert runs.started == []
    assert log.entries()[-1].report.start == START


def test_a_champion_that_only_got_new_items_is_watched_at_once(serve, go_round, places, version, monkeypatch):
    serve(*range(5))
    go_round(5)
    index = SemanticIndex.load(Path(places.champion) / "versions" / only_version(places) / "semantic_index")
    promote_after(5, extended(places, index, made_from=only_version(places)), places, monkeypatch)
    now = open_champion(places.champion).read().version
    assert now != version
    serve(5, version=now)
    (decision,) = go_round(6)
    assert decision.report.policy_version == now
    assert decision.report.results


def test_a_catalog_whose_tastes_have_changed_is_still_compared_with_the_reference(serve, go_round, places):
    serve(*range(6))
    go_round(5)
    catalog = Catalog.load(Path(places.catalog))
    comedies = pl.DataFrame({"user_id": ["v"] * 9, "item_id": ["m1"] * 9, "timestamp": range(9)})
    events = pl.concat([catalog.interactions, comedies])
    Catalog(events, catalog.items, catalog.facts).save(Path(places.catalog))
    (decision,) = go_round(6)
    assert decision.report.results


def test_alarms_last_over_an_indexing(serve, go_round, places, version, monkeypatch):
    serve(*range(5))
    go_round(5)
    serve(5, comedies=1)
    (first,) = go_round(6)
    index = SemanticIndex.load(Path(places.champion) / "versions" / only_version(places) / "semantic_index")
    promote_after(6, extended(places, index, made_from=only_version(places)), places, monkeypatch)
    serve(6, comedies=1, version=open_champion(places.champion).read().version)
    (second,) = go_round(7)
    assert first.report.policy_version == version != second.report.policy_version
    assert [one.name for one in first.report.results if one.raised] == ["category"]
    assert (first.report.alarms, second.report.alarms) == ((), ("category",))


def test_a_champion_that_was_trained_anew_gathers_a_reference(serve, go_round, places, monkeypatch):
    serve(*range(5))
    go_round(5)
    index = SemanticIndex.load(Path(places.champion) / "versions" / only_version(places) / "semantic_index")
    promote_after(5, extended(places, index), places, monkeypatch)
    serve(5, version=open_champion(places.champion).read().version)
    (decision,) = go_round(6)
    assert [one.kind for one in decision.report.missing] == ["no_reference"]
    assert not decision.report.results


def test_until_then_users_of_another_taste_than_in_training_are_told_of(serve, go_round, places):
    """The one user of the training data met a drama first and ended with m5; of the hour's users, a quarter are for
    comedies, and all end with m0 or m1. Later events of the catalog are no training data."""
    serve(0)
    catalog = Catalog.load(Path(places.catalog))
    later = pl.DataFrame({"user_id": ["v"], "item_id": ["m0"], "timestamp": [START]})
    Catalog(pl.concat([catalog.interactions, later]), catalog.items, catalog.facts).save(Path(places.catalog))
    (decision,) = go_round(1)
    assert {one.name: one.value for one in decision.report.skew} == {"last_level1": 1.0, "category": 0.25}


def only_version(places):
    (version,) = [folder.name for folder in (Path(places.champion) / "versions").iterdir()]
    return version


def extended(places, index, **facts):
    bundle = Path(places.champion).parent / "next"
    with atomic_folder(bundle, "policy", **facts) as folder:
        index.save(folder / "semantic_index")
        Catalog.load(Path(places.catalog)).items.write_parquet(folder / "items.parquet")
        (folder / "policy.json").write_text(FACTS.model_dump_json())
        (folder / "weights").write_text("others")
    return bundle


def promote_after(hours, bundle, places, monkeypatch):
    at_hour(hours, monkeypatch)
    place = open_champion(places.champion)
    place.move(place.keep(bundle), place.read())


def at_hour(hours, monkeypatch):
    """Whoever moves the champion or gives an order does so now."""

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(START + hours * HOUR, tz)

    monkeypatch.setattr(champion_folder, "datetime", Later)
    monkeypatch.setattr(commands, "time", SimpleNamespace(time=lambda: START + hours * HOUR))


def test_an_order_of_the_day_of_a_rollback_is_that_day_s_whose_whole_window_comes_first(
    serve, go_round, places, version, log, monkeypatch
):
    """With windows of a day: B since the sixth hour, rolled back in the tenth; the order comes five minutes later. The
    first whole window begins with the second day, and is decided 38 hours after the order."""
    settings = SETTINGS.model_copy(update={"window_seconds": 24 * HOUR})
    index = SemanticIndex.load(Path(places.champion) / "versions" / only_version(places) / "semantic_index")
    promote_after(6, extended(places, index), places, monkeypatch)
    at_hour(10, monkeypatch)
    roll_back(open_champion(places.champion))
    at_hour(10 + 1 / 12, monkeypatch)
    CliRunner().invoke(main, ["decisions", "override", places.decisions, "retrain", "New prices."])
    assert go_round(24, settings) == []
    serve(30)
    (decision,) = go_round(48, settings)
    assert (decision.report.policy_version, decision.report.start) == (version, START + 24 * HOUR)
    (order, _) = log.entries()
    assert (decision.action, decision.override) == ("retrain", order.id)


def test_without_a_champion_there_is_nothing_to_watch(places, runs, tmp_path):
    elsewhere = Places(**{**vars(places), "champion": str(tmp_path / "nobody")})
    with pytest.raises(ConfigError, match="there is no champion at"):
        Patrol(elsewhere, KEY, SETTINGS, runs).round(int(datetime.now(UTC).timestamp()))
