"""Feast's `FeatureStore` for the settings of the online path: open it, apply the definitions, materialise.

`feature_repo/` names no path and no server. It gets them through environment variables, which this module derives from
`ServingSettings` and sets only while Feast reads the repository; so sqlite and Redis differ by configuration alone.
"""

import io
import json
import logging
import os
import runpy
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from feast import Entity, FeatureService, FeatureStore, FeatureView, PushSource
from redis.exceptions import RedisError

import feature_repo
from feature_repo.names import USER_HISTORY
from gream.errors import ArtifactError
from serving.contracts import FeatureStoreError
from serving.features.offline import end_of_offline
from serving.settings import ServingSettings

OUTAGES: Final = (RedisError, sqlite3.DatabaseError, OSError)
"""What an online store raises that cannot answer now."""
PATIENCE_SECONDS: Final = 30.0
"""Time-out of one call where nobody waits for an answer: a busy Redis gets more time than on the online path."""
REPOSITORY: Final = Path(feature_repo.__file__).parent
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Feast warns that `serve_features_while_materializing` does nothing for a registry in a file. It does: see the YAML.
logging.getLogger("feast.repo_config").setLevel(logging.ERROR)


def patient(settings: ServingSettings) -> ServingSettings:
    """Settings of a store for work that nobody waits for."""
    return settings.model_copy(update={"feature_timeout_seconds": PATIENCE_SECONDS})


def features_folder(settings: ServingSettings) -> Path:
    """Where this replica keeps what belongs to Feast: `registry.db`, `online.db` (sqlite only) and `offline/`."""
    return settings.state.absolute() / "features"


def offline_folder(settings: ServingSettings) -> Path:
    """Where the Parquet files of `serving.features.offline` are."""
    return features_folder(settings) / "offline"


def open_store(settings: ServingSettings) -> FeatureStore:
    """The store that these settings describe. Nothing connects to the online store before the first read or write.

    Definitions are applied where the registry in the state folder lacks some: that of a fresh replica which shares a
    Redis, of one that was killed when it was fresh, or of a release that had fewer.
    """
    folder = features_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _environment(settings):
        store = FeatureStore(repo_path=str(REPOSITORY))
    defined = {thing.name for thing in _definitions(settings) if isinstance(thing, FeatureView)}
    if not defined <= {view.name for view in store.list_feature_views()}:
        apply_definitions(store, settings)
    return store


def apply_definitions(store: FeatureStore, settings: ServingSettings) -> None:
    """Register what `feature_repo/` defines, as `feast apply` does."""
    if settings.online_store == "sqlite":
        with closing(sqlite3.connect(features_folder(settings) / "online.db")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # Kept in the file: readers go on while another writes.
    store.apply(_definitions(settings))


def materialise(store: FeatureStore, settings: ServingSettings) -> None:
    """Write the last offline row of every user and item to the online store.

    Raises:
        ArtifactError: there are no offline files.
    """
    end = end_of_offline(offline_folder(settings))
    with redirect_stdout(io.StringIO()):  # Feast prints its progress.
        store.materialize(_START, end)


def materialise_incremental(store: FeatureStore, settings: ServingSettings) -> None:
    """The same for rows since the last materialisation only.

    It ends with the newest offline row and not now, so that rows that arrive later are not passed over next time.

    Raises:
        ArtifactError: there are no offline files, or they have never been materialised.
    """
    if store.get_feature_view(USER_HISTORY).most_recent_end_time is None:
        raise ArtifactError(
            f"{features_folder(settings)} has never been materialised, so there is nothing to continue from. "
            "Run `gream features build --catalog FOLDER` first."
        )
    end = end_of_offline(offline_folder(settings))
    with redirect_stdout(io.StringIO()):
        store.materialize_incremental(end)


@contextmanager
def outages_named(settings: ServingSettings) -> Iterator[None]:
    """Inside, an online store that does not answer raises `FeatureStoreError`."""
    try:
        yield
    except OUTAGES as error:
        raise FeatureStoreError(
            f"the {settings.online_store} online store does not answer ({type(error).__name__}). Run the same again "
            "when it does."
        ) from error


def _definitions(settings: ServingSettings) -> list[Entity | PushSource | FeatureView | FeatureService]:
    """What `feature_repo/` defines."""
    with _environment(settings):
        module = runpy.run_path(str(REPOSITORY / "definitions.py"))
    kinds = (Entity, PushSource, FeatureView, FeatureService)
    return [thing for thing in module.values() if isinstance(thing, kinds)]


@contextmanager
def _environment(settings: ServingSettings) -> Iterator[None]:
    """The variables that `feature_store.yaml` and `definitions.py` read, while inside."""
    folder = features_folder(settings)
    if settings.online_store == "redis":
        seconds = settings.feature_timeout_seconds
        # Feast reads options as JSON. redis-py would retry for seconds; whoever asks decides about that.
        options = f"socket_timeout={seconds},socket_connect_timeout={seconds},retry=null"
        online = {"type": "redis", "connection_string": f"{settings.redis.get_secret_value()},{options}"}
    else:
        online = {"type": "sqlite", "path": str(folder / "online.db")}
    variables = {"GREAM_FEATURES": str(folder), "GREAM_FEATURES_ONLINE": json.dumps(online)}
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)
