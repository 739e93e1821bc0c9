"""Stores that are stopped, frozen or locked for real. A read that waits for ever ends in the timeout of the test."""

import sqlite3

import pytest
from features_shop import OPENING, catalog, click

from serving.contracts import FeatureStoreError
from serving.features.build import build_features
from serving.features.reader import FeastUserFeatures

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NOW = OPENING + 1_000
SHOP = catalog([("ann", "i1", OPENING)])
TOO_LATE = "did not answer within 0.5 s"


@pytest.fixture
def reader(settings):
    build_features(SHOP, settings)
    features = FeastUserFeatures(settings)
    assert features.history("ann").item_ids == ("i1",)
    yield features
    features.close()


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_a_redis_that_is_gone_is_an_error_until_it_comes_back(reader, redis_server, settings):
    redis_server.stop()
    with pytest.raises(FeatureStoreError, match=TOO_LATE):
        reader.history("ann")
    with pytest.raises(FeatureStoreError, match="redis online store does not answer"):
        reader.push([click("ann", "i2", NOW)])
    with pytest.raises(FeatureStoreError, match="redis online store does not answer"):
        build_features(SHOP, settings)
    redis_server.start()
    assert reader.history("ann") is None
    reader.push([click("ann", "i2", NOW)])
    build_features(SHOP, settings)
    assert reader.history("ann").item_ids == ("i1", "i2")


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_a_redis_that_hangs_is_an_error_and_not_a_hang(reader, redis_server):
    redis_server.freeze()
    for _ in range(3):
        with pytest.raises(FeatureStoreError, match=TOO_LATE):
            reader.history("ann")
    redis_server.thaw()
    assert reader.history("ann").item_ids == ("i1",)


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_a_reader_can_start_before_its_redis(settings, redis_server):
    redis_server.stop()
    reader = FeastUserFeatures(settings)
    with pytest.raises(FeatureStoreError):
        reader.history("ann")
    redis_server.start()
    assert reader.history("ann") is None
    reader.close()


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_a_wrong_password_is_an_error_that_does_not_tell_it(settings):
    secret = settings.redis.get_secret_value()
    wrong = FeastUserFeatures(type(settings)(**settings.model_dump() | {"redis": f"{secret}-wrong"}))
    with pytest.raises(FeatureStoreError) as caught:
        wrong.history("ann")
    assert "wrong" not in f"{caught.value} {caught.value.__cause__}"
    wrong.close()


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_the_lock_of_a_process_that_died_is_taken_from_it(reader, redis_server):
    redis_server.client().set("gream:pushing", "held by nobody", px=1_500)
    reader.push([click("ann", "i2", NOW)])
    assert reader.history("ann").item_ids == ("i1", "i2")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_sqlite_is_read_while_another_process_writes(reader, settings):
    with sqlite3.connect(settings.state / "features" / "online.db") as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert reader.history("ann").item_ids == ("i1",)
        with pytest.raises(FeatureStoreError, match="sqlite online store does not answer"):
            reader.push([click("ann", "i2", NOW)])
        writer.rollback()
    reader.push([click("ann", "i2", NOW)])
    assert reader.history("ann").item_ids == ("i1", "i2")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_sqlite_file_that_is_no_database_is_an_error(reader, settings):
    reader.close()
    path = settings.state / "features" / "online.db"
    for file in path.parent.glob("online.db*"):
        file.unlink()
    path.write_bytes(b"not a database" * 1_000)
    broken = FeastUserFeatures(settings)
    with pytest.raises(FeatureStoreError):
        broken.history("ann")
    broken.close()
