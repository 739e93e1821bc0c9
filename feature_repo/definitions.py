"""Entities, sources, feature views and the feature service of the recommender.

One module on purpose: `feast apply` imports each file of the repository by itself, and objects that two files import
from each other would be defined twice. `serving.features.offline` writes the Parquet files.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Array, Float64, Int64, String

from feature_repo import names
from gream import columns

OFFLINE = Path(os.environ["GREAM_FEATURES"]) / "offline"
NEVER_EXPIRES = timedelta(0)

user = Entity(name="user", join_keys=[columns.USER], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=[columns.ITEM], value_type=ValueType.STRING)


def _table(view: str) -> FileSource:
    return FileSource(
        name=f"{view}_table", path=str(OFFLINE / f"{view}.parquet"), timestamp_field=names.EVENT_TIMESTAMP
    )


user_history = FeatureView(
    name=names.USER_HISTORY,
    description="A user's most recent events in the catalog, oldest first.",
    entities=[user],
    ttl=NEVER_EXPIRES,
    source=_table(names.USER_HISTORY),
    schema=[
        Field(name=names.ITEM_IDS, dtype=Array(String), description="What the user met."),
        Field(
            name=names.TIMESTAMPS,
            dtype=Array(Int64),
            description="When, in seconds since 1970 (UTC), aligned with the ids; positions where there is no clock.",
        ),
    ],
)

user_events = PushSource(
    name=names.PUSH_SOURCE,
    description="Events as they happen. Its table is empty: they reach the offline store with the next catalog.",
    batch_source=_table(names.USER_RECENT_EVENTS),
)

# A view of its own, so that a new catalog never takes away what was pushed and a push never hides a new catalog.
user_recent_events = FeatureView(
    name=names.USER_RECENT_EVENTS,
    description="A user's most recent pushed events, oldest first. Some may be in `user_history` too.",
    entities=[user],
    ttl=NEVER_EXPIRES,
    source=user_events,
    schema=[
        Field(name=names.RECENT_ITEM_IDS, dtype=Array(String)),
        Field(name=names.RECENT_TIMESTAMPS, dtype=Array(Int64)),
    ],
)

user_statistics = FeatureView(
    name=names.USER_STATISTICS,
    description="How active a user is, over all events of the catalog.",
    entities=[user],
    ttl=NEVER_EXPIRES,
    source=_table(names.USER_STATISTICS),
    schema=[
        Field(name=names.EVENT_COUNT, dtype=Int64, description="Events so far."),
        Field(name=names.FIRST_EVENT, dtype=Int64, description="Time of the first."),
        Field(name=names.LAST_EVENT, dtype=Int64, description="Time of the last."),
        Field(name=names.MEAN_GAP, dtype=Float64, description="Mean time between two events; 0 after the first."),
    ],
)

item_features = FeatureView(
    name=names.ITEM_FEATURES,
    description="What is known of an item, and how often it was met.",
    entities=[item],
    ttl=NEVER_EXPIRES,
    source=_table(names.ITEM_FEATURES),
    schema=[
        Field(name=columns.TITLE, dtype=String),
        Field(name=columns.BRAND, dtype=String, description="Empty where unknown."),
        Field(name=columns.CATEGORIES, dtype=Array(String)),
        Field(name=names.POPULARITY, dtype=Int64, description="Events of all users with it so far."),
    ],
)

recommendation = FeatureService(
    name="recommendation",
    description="Everything that is known of a user and an item when one is recommended to the other.",
    features=[user_history, user_recent_events, user_statistics, item_features],
)
