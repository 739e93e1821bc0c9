"""Events that happen after the catalog was made, on sqlite and on a real Redis."""

import threading

import pytest
from features_shop import OPENING, catalog, click

from serving.features.build import build_features, refresh_features
from serving.features.reader import FeastUserFeatures

pytestmark = pytest.mark.integration

NOW = OPENING + 1_000
EVENTS = [("ann", "i1", OPENING), ("ann", "i2", OPENING), ("bob", "i3", OPENING + 5)]


def items(reader, user):
    return reader.history(user).item_ids


def test_clicks_and_purchases_extend_a_history_and_impressions_do_not(reader):
    reader.push(
        [click("ann", "i3", NOW), click("ann", "i4", NOW + 1, "impression"), click("ann", "i5", NOW, "purchase")]
    )
    assert items(reader, "ann") == ("i1", "i2", "i3", "i5")
    assert reader.history("ann").timestamps == (OPENING, OPENING, NOW, NOW)
    assert items(reader, "bob") == ("i3",)


def test_users_who_are_read_together_keep_their_own_histories(reader):
    reader.push([click("new", "i7", NOW), click("ann", "i3", NOW)])
    found = reader.histories_of(["new", "nobody", "bob", "ann"])
    assert {user: history.item_ids for user, history in found.items()} == {
        "new": ("i7",),
        "bob": ("i3",),
        "ann": ("i1", "i2", "i3"),
    }


def test_several_events_of_a_user_stand_in_time_order(reader):
    reader.push(
        [click("ann", "i5", NOW + 2), click("new", "i7", NOW), click("ann", "i3", NOW), click("ann", "i4", NOW)]
    )
    assert items(reader, "ann") == ("i1", "i2", "i3", "i4", "i5")
    assert items(reader, "new") == ("i7",)


def test_late_events_are_inserted_where_they_belong(reader):
    reader.push([click("ann", "i5", NOW)])
    reader.push([click("ann", "i4", NOW - 10)])
    reader.push([click("ann", "i3", OPENING - 10)])
    reader.push([click("ann", "i6", OPENING)])
    assert items(reader, "ann") == ("i3", "i1", "i2", "i6", "i4", "i5")


def test_pushing_again_changes_nothing(reader):
    events = [click("ann", f"i{number}", NOW + number % 3) for number in range(9)]
    reader.push(events)
    once = reader.history("ann")
    assert len(once.item_ids) == 6
    for again in (events, events[:1], events[::-1], [click("ann", "i2", OPENING)]):
        reader.push(again)
        assert reader.history("ann") == once


def test_many_pushes_within_one_second_all_count(reader):
    for number in range(5):
        reader.push([click("new", f"i{number}", NOW)])
    assert items(reader, "new") == ("i0", "i1", "i2", "i3", "i4")


def test_what_was_pushed_outlives_a_new_build_and_a_refresh(reader, settings):
    reader.push([click("ann", "i5", OPENING - 10), click("ann", "i4", NOW)])
    build_features(catalog(EVENTS), settings)
    assert items(reader, "ann") == ("i5", "i1", "i2", "i4")
    refresh_features(settings, catalog([*EVENTS, ("ann", "i6", OPENING + 500)]))
    assert items(reader, "ann") == ("i5", "i1", "i2", "i6", "i4")


def test_an_event_that_reaches_the_catalog_later_is_there_once(reader, settings):
    reader.push([click("ann", "i4", NOW)])
    refresh_features(settings, catalog([*EVENTS, ("ann", "i4", NOW), ("ann", "i6", NOW)]))
    assert items(reader, "ann") == ("i1", "i2", "i4", "i6")


def test_a_catalog_that_comes_after_the_first_pushes_is_not_hidden_by_them(settings):
    reader = FeastUserFeatures(settings)
    reader.push([click("ann", "i4", NOW)])
    build_features(catalog(EVENTS), settings)
    assert items(reader, "ann") == ("i1", "i2", "i4")
    reader.close()


def test_replicas_that_push_for_one_user_at_once_lose_nothing(settings, tmp_path):
    settings = settings.model_copy(update={"history_window": 100, "feature_timeout_seconds": 10})
    own_folder = {"state": tmp_path / "another replica"} if settings.online_store == "redis" else {}
    replicas = [FeastUserFeatures(settings), FeastUserFeatures(settings.model_copy(update=own_folder))]

    def push(replica, name):
        for number in range(20):
            replica.push([click("ann", f"{name}{number}", NOW + number)])

    threads = [threading.Thread(target=push, args=pair) for pair in zip(replicas, "xy", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(f"{name}{number}" for name in "xy" for number in range(20))
    assert sorted(items(replicas[0], "ann")) == expected
    for replica in replicas:
        replica.close()


def test_readers_never_see_a_part_of_a_push(settings):
    reader = FeastUserFeatures(settings.model_copy(update={"history_window": 100, "feature_timeout_seconds": 10}))
    users = [f"u{number}" for number in range(20)]
    reader.push([click(user, "i0", NOW) for user in users])
    torn, pushed = [], threading.Event()

    def read(user):
        while not pushed.is_set():
            try:
                found = reader.history(user)
                if found.item_ids != tuple(f"i{second - NOW}" for second in found.timestamps):
                    torn.append(found)
            except ValueError as error:  # As many items as times are needed to make a history of them.
                torn.append(error)

    threads = [threading.Thread(target=read, args=[user]) for user in users[:4]]
    for thread in threads:
        thread.start()
    for number in range(1, 50):
        reader.push([click(user, f"i{number}", NOW + number) for user in users])
    pushed.set()
    for thread in threads:
        thread.join()
    assert torn == []
    assert [len(reader.history(user).item_ids) for user in users] == [50] * 20
    reader.close()
