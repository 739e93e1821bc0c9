"""Delete a user from the online store, for which Feast has no call."""

import sqlite3
from contextlib import closing

import polars as pl
from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _redis_key, compute_table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.names import USER_HISTORY, USER_RECENT_EVENTS, USER_STATISTICS
from gream import columns
from gream.errors import RequestError
from serving.features.locks import pushing_alone
from serving.features.store import features_folder, offline_folder, open_store, outages_named
from serving.settings import ServingSettings


def forget_user(user_id: str, settings: ServingSettings) -> bool:
    """Delete all that is online of a user: history, pushed events, statistics.

    Returns:
        Whether there was anything.

    Raises:
        RequestError: the catalog of the last build has the user, whom the next build would bring back.
        FeatureStoreError: the store cannot be written to now; call again.
    """
    built = offline_folder(settings) / f"{USER_HISTORY}.parquet"
    if (
        built.exists()
        and not pl.scan_parquet(built).filter(pl.col(columns.USER) == user_id).head(1).collect().is_empty()
    ):
        raise RequestError(
            f"the catalog of the last build has the user {user_id!r}, and the next build would bring them back: "
            "`gream features build` from one without them first."
        )
    store = open_store(settings)
    key = EntityKey(join_keys=[columns.USER], entity_values=[Value(string_val=user_id)])
    # A push that has read the row already would write it again.
    with outages_named(settings), pushing_alone(store, settings):
        delete = _from_redis if settings.online_store == "redis" else _from_sqlite
        return delete(store, key, settings)


def _from_redis(store: FeatureStore, key: EntityKey, _: ServingSettings) -> bool:
    """One hash has all views of an entity."""
    client = store.provider.online_store._get_client(store.config.online_store)
    return bool(client.delete(_redis_key(store.project, key, store.config.entity_key_serialization_version)))


def _from_sqlite(store: FeatureStore, key: EntityKey, settings: ServingSettings) -> bool:
    """Each view has a table, with a row for each feature."""
    row = serialize_entity_key(key, entity_key_serialization_version=store.config.entity_key_serialization_version)
    views = [store.get_feature_view(name) for name in (USER_HISTORY, USER_RECENT_EVENTS, USER_STATISTICS)]
    deleted = 0
    with closing(sqlite3.connect(features_folder(settings) / "online.db")) as connection, connection:
        for view in views:
            table = compute_table_id(store.project, view)
            deleted += connection.execute(f'DELETE FROM "{table}" WHERE entity_key = ?', (row,)).rowcount
    return deleted > 0
