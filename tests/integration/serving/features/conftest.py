"""Feature stores on sqlite and on a real Redis."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from features_redis import RedisServer
from features_shop import catalog

from serving.features.build import build_features
from serving.features.reader import FeastUserFeatures
from serving.settings import ServingSettings


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ServingSettings:
    """A replica with an empty store; the name of its folder needs quoting nearly everywhere."""
    options = {"state": tmp_path / "shop's: #1 state", "history_window": 6, "online_store": request.param}
    if request.param == "redis":
        options["redis"] = request.getfixturevalue("redis_server").connection_string
    return ServingSettings(**options)


@pytest.fixture
def reader(settings: ServingSettings, request: pytest.FixtureRequest) -> Iterator[FeastUserFeatures]:
    """Reads a store that was built from the `EVENTS` of the test's own file."""
    build_features(catalog(request.module.EVENTS), settings)
    features = FeastUserFeatures(settings)
    yield features
    features.close()
