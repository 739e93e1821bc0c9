"""From a catalog to a feature store that answers: offline files, definitions, materialisation. Safe to run again."""

from feast import FeatureStore

from gream.data.catalog import Catalog
from serving.features.offline import write_offline
from serving.features.store import (
    apply_definitions,
    materialise,
    materialise_incremental,
    offline_folder,
    open_store,
    outages_named,
    patient,
)
from serving.settings import ServingSettings


def build_features(catalog: Catalog, settings: ServingSettings) -> FeatureStore:
    """Make the store hold the features of a catalog, beside the events that were pushed.

    Raises:
        DataError: the catalog ends before the one that the store was built from, or is of another shop.
        FeatureStoreError: the online store cannot be written to now.
    """
    write_offline(catalog, offline_folder(settings), settings.history_window)
    calm = patient(settings)
    store = open_store(calm)
    apply_definitions(store, calm)
    with outages_named(settings):
        materialise(store, calm)
    return store


def refresh_features(settings: ServingSettings, catalog: Catalog | None = None) -> FeatureStore:
    """Bring online what has been added since the last build or refresh.

    Args:
        settings: where the store is.
        catalog: the catalog with its new events; without one the offline files are taken as they are.

    Raises:
        ArtifactError: the store has not been built.
        DataError: the catalog ends before the one that the store was built from, or is of another shop.
        FeatureStoreError: the online store cannot be written to now.
    """
    calm = patient(settings)
    store = open_store(calm)
    if catalog is not None:
        write_offline(catalog, offline_folder(settings), settings.history_window)
    with outages_named(settings):
        materialise_incremental(store, calm)
    return store
