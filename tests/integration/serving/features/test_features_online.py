"""Materialising into sqlite and into a real Redis, and reading what the API reads."""

import sqlite3

import pytest
from feast.feature_view import FeatureViewState
from features_shop import OPENING, catalog, click, crowded_events

from feature_repo import names
from gream.errors import ArtifactError
from serving.contracts import UserHistory
from serving.features.build import build_features, refresh_features
from serving.features.reader import FeastUserFeatures

pytestmark = pytest.mark.integration

EVENTS = [("ann", "i1", OPENING), ("ann", "i2", OPENING), ("bob", "i3", OPENING + 5)]
LATER = [("ann", "i4", OPENING + 100), ("cid", "i12", OPENING + 101)]


def history(*events):
    return UserHistory(item_ids=tuple(item for item, _ in events), timestamps=tuple(second for _, second in events))


def read_all(reader, users):
    return {user: reader.history(user) for user in users}


def test_every_user_has_the_end_of_their_sequence(settings):
    everything = catalog(crowded_events())
    build_features(everything, settings)
    reader = FeastUserFeatures(settings)
    sequences = everything.sequences()
    assert max(map(len, sequences.values())) > settings.history_window
    online = read_all(reader, sequences)
    assert {user: list(found.item_ids) for user, found in online.items()} == {
        user: items[-settings.history_window :] for user, items in sequences.items()
    }
    reader.close()


def test_unknown_users_have_no_history(reader):
    assert reader.history("nobody") is None
    assert reader.history("ann") == history(("i1", OPENING), ("i2", OPENING))


def test_statistics_and_items_are_online_too(settings):
    store = build_features(catalog([*EVENTS, LATER[0]]), settings)
    service = store.get_feature_service("recommendation")
    found = store.get_online_features(service, [{"user_id": "ann", "item_id": "i2"}]).to_dict()
    assert {name: found[name][0] for name in ("event_count", "first_event", "last_event", "mean_gap")} == {
        "event_count": 3,
        "first_event": OPENING,
        "last_event": OPENING + 100,
        "mean_gap": 50.0,
    }
    assert {name: found[name][0] for name in ("title", "brand", "categories", "popularity")} == {
        "title": "Title of i2",
        "brand": "Kent",
        "categories": ["Office"],
        "popularity": 1,
    }


def test_building_again_changes_nothing(reader, settings):
    before = read_all(reader, ["ann", "bob", "cid"])
    build_features(catalog(EVENTS), settings)
    assert read_all(FeastUserFeatures(settings), ["ann", "bob", "cid"]) == before


def test_a_refresh_brings_what_is_new(reader, settings):
    newer = catalog([*EVENTS, *LATER], items=[*(f"i{number}" for number in range(13))])
    store = refresh_features(settings, newer)
    assert read_all(reader, ["ann", "bob", "cid"]) == {
        "ann": history(("i1", OPENING), ("i2", OPENING), ("i4", OPENING + 100)),
        "bob": history(("i3", OPENING + 5)),
        "cid": history(("i12", OPENING + 101)),
    }
    assert store.get_online_features(["item_features:title"], [{"item_id": "i12"}]).to_dict()["title"] == [
        "Title of i12"
    ]
    refresh_features(settings)
    assert reader.history("cid") == history(("i12", OPENING + 101))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_refresh_leaves_rows_alone_that_have_nothing_new(reader, settings):
    with sqlite3.connect(settings.state / "features" / "online.db") as connection:
        connection.execute(f"DELETE FROM gream_{names.USER_HISTORY}")
    refresh_features(settings, catalog([*EVENTS, LATER[0]]))
    assert reader.history("bob") is None
    assert reader.history("ann") is not None
    build_features(catalog([*EVENTS, LATER[0]]), settings)
    assert reader.history("bob") == history(("i3", OPENING + 5))


def test_there_is_nothing_to_refresh_before_a_build(settings):
    with pytest.raises(ArtifactError, match="Run `gream features build --catalog FOLDER` first"):
        refresh_features(settings, catalog(EVENTS))


def test_a_fresh_replica_knows_its_features_without_a_build(settings):
    reader = FeastUserFeatures(settings)
    assert reader.history("ann") is None
    reader.push([click("ann", "i1", OPENING)])
    assert reader.history("ann") == history(("i1", OPENING))
    reader.close()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_reader_that_starts_during_a_build_or_after_a_killed_one_answers(settings):
    store = build_features(catalog(EVENTS), settings)
    store.set_feature_view_state(names.USER_HISTORY, FeatureViewState.MATERIALIZING)
    reader = FeastUserFeatures(settings)
    assert reader.history("bob") == history(("i3", OPENING + 5))
    build_features(catalog([*EVENTS, LATER[0]]), settings)
    assert reader.history("ann") == history(("i1", OPENING), ("i2", OPENING), ("i4", OPENING + 100))
    reader.close()


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_replicas_with_folders_of_their_own_share_a_redis(reader, settings, tmp_path):
    other = FeastUserFeatures(settings.model_copy(update={"state": tmp_path / "another replica"}))
    assert other.history("bob") == reader.history("bob") == history(("i3", OPENING + 5))
    other.close()


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_the_thousandth_read_answers_the_same_and_asks_for_no_more(reader, redis_server):
    """A read that grows (feast#6841) would show in what Redis receives and sends."""
    client = redis_server.client()

    def read():
        client.config_resetstat()
        found = reader.history("ann")
        traffic = client.info("stats")
        return found, traffic["total_net_input_bytes"], traffic["total_net_output_bytes"]

    read()
    first = read()
    assert all(reader.history("ann") == first[0] for _ in range(1_000))
    assert read() == first


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_thousand_reads_of_sqlite_answer_the_same(reader):
    first = reader.history("ann")
    assert first == history(("i1", OPENING), ("i2", OPENING))
    assert all(reader.history("ann") == first for _ in range(1_000))
