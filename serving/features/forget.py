"""Delete a user from the online store, for which Feast has no call, and from the files that it keeps of itself."""

import sqlite3
import time
from contextlib import closing
from typing import Any, Final

import polars as pl
from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _redis_key, compute_table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from redis.exceptions import ResponseError

from feature_repo.names import USER_HISTORY, USER_RECENT_EVENTS, USER_STATISTICS
from gream import columns
from gream.errors import RequestError
from serving.contracts import FeatureStoreError
from serving.features.locks import pushing_alone
from serving.features.store import features_folder, offline_folder, open_store, outages_named, patient
from serving.settings import ServingSettings

_LOOK_SECONDS: Final = 0.1


def forget_user(user_id: str, settings: ServingSettings) -> bool:
    """Delete all that is online of a user: history, pushed events, statistics; also from the online store's disk.

    Returns:
        Whether there was anything.

    Raises:
        RequestError: the catalog of the last build has the user, whom the next build would bring back.
        FeatureStoreError: the store cannot be written to now, or its files still have the user; call again.
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
    store = open_store(patient(settings))
    key = EntityKey(join_keys=[columns.USER], entity_values=[Value(string_val=user_id)])
    in_redis = settings.online_store == "redis"
    with outages_named(settings):
        # A push that has read the row already would write it again.
        with pushing_alone(store, settings):
            delete = _from_redis if in_redis else _from_sqlite
            known = delete(store, key, settings)
        # Even for a user who is not there: a call before this one may have come no further.
        wipe = _wipe_redis if in_redis else _wipe_sqlite
        wipe(store, settings)
    return known


def _from_redis(store: FeatureStore, key: EntityKey, _: ServingSettings) -> bool:
    """One hash has all views of an entity."""
    redis_key = _redis_key(store.project, key, store.config.entity_key_serialization_version)
    return bool(_client(store).delete(redis_key))


def _wipe_redis(store: FeatureStore, _: ServingSettings) -> None:
    """The append-only file has all writes since it was written anew."""
    client = _client(store)
    try:
        if not client.info("persistence")["aof_enabled"]:
            return
        _last_rewriting(client)  # One that is under way began before the deletion.
        client.bgrewriteaof()
        ended = _last_rewriting(client)
    except ResponseError as error:  # Not everybody may, and not every Redis can.
        ended = str(error)
    if ended != "ok":
        raise FeatureStoreError(
            "the user is deleted, but Redis does not write its append-only file anew, which has them until then "
            f"({ended}). Run the same again, or BGREWRITEAOF as somebody who may."
        )


def _last_rewriting(client: Any) -> str:
    """How the last rewriting of the append-only file ended, once none is under way."""
    while True:
        told = client.info("persistence")
        if not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"]):
            return str(told["aof_last_bgrewrite_status"])
        time.sleep(_LOOK_SECONDS)


def _client(store: FeatureStore) -> Any:
    return store.provider.online_store._get_client(store.config.online_store)


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


def _wipe_sqlite(_: FeatureStore, settings: ServingSettings) -> None:
    """Free pages and the write-ahead log have what was deleted, and rows that longer ones have replaced."""
    with closing(sqlite3.connect(features_folder(settings) / "online.db")) as connection:
        connection.execute("VACUUM")
        (busy, *_pages) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("somebody still reads the write-ahead log")
