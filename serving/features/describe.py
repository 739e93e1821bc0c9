"""A user as the online store knows them, as plain text for the terminal."""

from datetime import UTC, datetime

from feature_repo.names import EVENT_COUNT, ITEM_FEATURES, MEAN_GAP, USER_STATISTICS
from gream import columns
from gream.errors import RequestError
from serving.contracts import FIRST_CLOCK
from serving.features.reader import FeastUserFeatures
from serving.features.store import outages_named
from serving.settings import ServingSettings


def describe_user(user_id: str, last: int, settings: ServingSettings) -> str:
    """One line of statistics, then the `last` most recent events, oldest first.

    Raises:
        RequestError: the store does not know the user.
        FeatureStoreError: the store does not answer.
    """
    reader = FeastUserFeatures(settings)
    history = reader.history(user_id)
    reader.close()
    if history is None:
        raise RequestError(f"the feature store does not know the user {user_id!r}.")
    item_ids, timestamps = history.item_ids[-last:], history.timestamps[-last:]
    statistics = [f"{USER_STATISTICS}:{EVENT_COUNT}", f"{USER_STATISTICS}:{MEAN_GAP}"]
    texts = [f"{ITEM_FEATURES}:{columns.TITLE}"]
    with outages_named(settings):
        user = reader.store.get_online_features(statistics, [{columns.USER: user_id}]).to_dict()
        items = reader.store.get_online_features(texts, [{columns.ITEM: item} for item in item_ids]).to_dict()
    lines = [_summary(len(history.item_ids), user[EVENT_COUNT][0], user[MEAN_GAP][0])]
    for timestamp, item, title in zip(timestamps, item_ids, items[columns.TITLE], strict=True):
        lines.append(f"{_when(timestamp):>19}  {item}  {title or '(not in the catalog)'}")
    return "\n".join(lines)


def _summary(kept: int, events: int | None, mean_gap: float | None) -> str:
    if events is None:
        return f"events kept: {kept}; in the catalog of the last build: none"
    return f"events kept: {kept}; in the catalog of the last build: {events}, {mean_gap:,.0f} s apart on average"


def _when(timestamp: int) -> str:
    if timestamp < FIRST_CLOCK:
        return str(timestamp)
    return f"{datetime.fromtimestamp(timestamp, tz=UTC):%Y-%m-%d %H:%M:%S}"
