"""Training histories through Feast's point-in-time join are those of the catalog, and those that were served."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from features_shop import OPENING, catalog, crowded_events, positions

from serving.features.build import build_features
from serving.features.reader import FeastUserFeatures
from serving.features.training import training_histories

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("settings", ["sqlite"], indirect=True)]


def before(sequence, window=6):
    """For each event of a sequence what precedes it."""
    return [sequence[:place][-window:] for place in range(len(sequence))]


@pytest.mark.parametrize(
    "shop",
    [catalog(crowded_events()), catalog(positions(), ordinal_time=True)],
    ids=["many events in one second", "no clock"],
)
def test_each_event_has_exactly_the_history_that_precedes_it(shop, settings):
    store = build_features(shop, settings)
    found = training_histories(store, shop.interactions)
    assert found.select(shop.interactions.columns).equals(shop.interactions)
    for _, events in found.group_by("user_id"):
        assert events["item_ids"].to_list() == before(events["item_id"].to_list())
        assert events["timestamps"].to_list() == before(events["timestamp"].to_list())


def test_a_pair_of_user_and_time_sees_the_seconds_before_it_and_no_other(settings):
    events = [("ann", "i1", OPENING), ("ann", "i2", OPENING), ("ann", "i3", OPENING + 1), ("bob", "i4", OPENING)]
    store = build_features(catalog(events), settings)
    pairs = [("ann", OPENING + 2), ("ann", OPENING + 1), ("ann", OPENING), ("bob", OPENING + 1), ("nobody", OPENING)]
    asked = pl.DataFrame(pairs, schema=["user_id", "timestamp"], orient="row")
    assert training_histories(store, asked)["item_ids"].to_list() == [["i1", "i2", "i3"], ["i1", "i2"], [], ["i4"], []]


def test_an_event_is_not_part_of_its_own_features(settings):
    seconds = [OPENING, OPENING + 1, OPENING + 9]
    events = [("ann", "i1", second) for second in seconds]
    store = build_features(catalog([*events, ("bob", "i1", OPENING)]), settings)

    def just_before(seconds, *features):
        moments = [datetime.fromtimestamp(second, tz=UTC) - timedelta(microseconds=1) for second in seconds]
        asked = pl.DataFrame({"event_timestamp": moments}).with_columns(user_id=pl.lit("ann"), item_id=pl.lit("i1"))
        found = store.get_historical_features(asked.to_pandas(), list(features)).to_df()
        return pl.from_pandas(found).sort("event_timestamp")

    items = just_before(seconds, "item_features:popularity", "item_features:title")
    assert items["popularity"].to_list() == [0, 2, 3]
    assert items["title"].to_list() == ["Title of i1"] * 3
    # Of the first event Feast has nothing to say, so it leaves the row out.
    assert just_before(seconds, "user_statistics:event_count")["event_count"].to_list() == [1, 2]


def test_what_is_served_is_what_the_join_says_of_the_end_of_time(settings):
    shop = catalog(crowded_events())
    store = build_features(shop, settings)
    users = shop.interactions["user_id"].unique(maintain_order=True)
    end = pl.DataFrame({"user_id": users}).with_columns(timestamp=pl.lit(OPENING * 2))
    joined = training_histories(store, end)
    reader = FeastUserFeatures(settings)
    served = [reader.history(user) for user in users]
    assert [list(found.item_ids) for found in served] == joined["item_ids"].to_list()
    assert [list(found.timestamps) for found in served] == joined["timestamps"].to_list()
    reader.close()
