"""A registry that a kill, or a full disk, has left behind is no end of the store."""

import resource

import pytest
from feast.protos.feast.core.Registry_pb2 import Registry
from features_shop import catalog, click

from gream.errors import ArtifactError
from serving.features.build import build_features, refresh_features
from serving.features.reader import FeastUserFeatures
from serving.features.store import apply_definitions, features_folder, open_store

pytestmark = pytest.mark.integration

EVENTS = [("u0", "i1", 100), ("u0", "i2", 200)]


def empty(content):
    """What Feast writes first."""
    registry = Registry.FromString(content)
    return Registry(registry_schema_version=registry.registry_schema_version).SerializeToString()


def without_a_view(content):
    """Of a release that had fewer."""
    registry = Registry.FromString(content)
    del registry.feature_views[-1]
    return registry.SerializeToString()


def cut(content):
    return content[:4_096]


def items_of(settings, user):
    features = FeastUserFeatures(settings)
    features.push([click("u0", "i3", 300)])
    history = features.history(user)
    features.close()
    return history.item_ids


@pytest.mark.parametrize("damage", [empty, without_a_view, cut])
def test_a_store_whose_registry_was_left_unfinished_answers_at_the_next_start(settings, damage):
    build_features(catalog(EVENTS), settings)
    registry = features_folder(settings) / "registry.db"
    registry.write_bytes(damage(registry.read_bytes()))
    assert items_of(settings, "u0") == ("i1", "i2", "i3")
    views = {view.spec.name for view in Registry.FromString(registry.read_bytes()).feature_views}
    assert views == {"user_history", "user_recent_events", "user_statistics", "item_features"}


def test_a_refresh_says_that_the_registry_has_forgotten_and_a_build_makes_it_good(settings):
    build_features(catalog(EVENTS), settings)
    registry = features_folder(settings) / "registry.db"
    registry.write_bytes(cut(registry.read_bytes()))
    with pytest.raises(ArtifactError, match="has never been materialised"):
        refresh_features(settings)
    registry.write_bytes(cut(registry.read_bytes()))
    build_features(catalog([*EVENTS, ("u0", "i4", 250)]), settings)
    refresh_features(settings)
    assert items_of(settings, "u0") == ("i1", "i2", "i4", "i3")


def test_a_full_disk_leaves_the_registry_as_it_was(settings):
    build_features(catalog(EVENTS), settings)
    registry = features_folder(settings) / "registry.db"
    before, names = registry.read_bytes(), sorted(features_folder(settings).iterdir())
    store = open_store(settings)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            apply_definitions(store, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert registry.read_bytes() == before
    assert sorted(features_folder(settings).iterdir()) == names
