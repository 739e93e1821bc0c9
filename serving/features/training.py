"""Training histories through Feast's point-in-time join: what the online store would have answered before an event.

Feast's file store joins in memory, every event that is asked for with every row of its user: of a large catalog ask for
a sample.
"""

import polars as pl
from feast import FeatureStore

from feature_repo.names import EVENT_TIMESTAMP, ITEM_IDS, TIMESTAMPS, USER_HISTORY
from gream import columns
from serving.features.moments import add_moments

_ROW = "row"


def training_histories(store: FeatureStore, events: pl.DataFrame) -> pl.DataFrame:
    """The events with the history that precedes each of them, as `item_ids` and `timestamps`.

    "Precedes" is strict: an event is never part of its own history. Several rows of one user with the same timestamp
    are taken for the first events of that second, in this order; each sees those above it.

    Args:
        store: with offline files that were written from the events' catalog.
        events: user and timestamp, at least; in the order of the catalog. Other columns are kept.
    """
    asked = add_moments(events).with_row_index(_ROW)
    entities = asked.select(_ROW, columns.USER, pl.col(EVENT_TIMESTAMP) - pl.duration(microseconds=1))
    features = [f"{USER_HISTORY}:{ITEM_IDS}", f"{USER_HISTORY}:{TIMESTAMPS}"]
    joined = pl.from_pandas(store.get_historical_features(entities.to_pandas(), features).to_df())
    # Feast leaves out users whose first event is still to come.
    found = joined.select(pl.col(_ROW).cast(pl.UInt32), ITEM_IDS, TIMESTAMPS)
    empty = pl.col(ITEM_IDS, TIMESTAMPS).fill_null([])
    return asked.drop(EVENT_TIMESTAMP).join(found, on=_ROW, how="left").sort(_ROW).with_columns(empty).drop(_ROW)
