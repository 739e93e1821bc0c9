import shutil
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from api_server import free_port, gream_serve
from tiny_policy import write_tiny_policy

from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts

USERS = 40


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A folder with a policy and the catalog beside it, as a run leaves them. User n has seen items n, n + 1, n + 2."""
    folder = tmp_path_factory.mktemp("run")
    item_ids = write_tiny_policy(folder / "policy")
    write_catalog(folder / "catalog", item_ids)
    return folder


def write_catalog(path: Path, item_ids: list[str]) -> None:
    rows = [(f"user-{user}", item_ids[user + step], 1_000 * user + step) for user in range(USERS) for step in range(3)]
    interactions = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").sort(
        "user_id", "timestamp", maintain_order=True
    )
    items = pl.DataFrame(
        {
            "item_id": item_ids,
            "title": [f"Thing {item_id}" for item_id in item_ids],
            "description": [""] * len(item_ids),
            "brand": [""] * len(item_ids),
            "categories": [[] for _ in item_ids],
        },
        schema=ITEM_SCHEMA,
    )
    Catalog(interactions, items, CatalogFacts(dataset="made-up", source="a test", exclude_seen=True)).save(path)


@pytest.fixture(scope="session")
def server(shop, tmp_path_factory):
    """The online path, started by `gream serve`; shared by the tests that leave it as it is."""
    with gream_serve(shop / "policy", tmp_path_factory.mktemp("server")) as running:
        yield running


class Redis:
    """A real redis-server that can be stopped and started again with its data."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        self._process = subprocess.Popen([*command, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
        ping = ["redis-cli", "-p", str(self.port), "ping"]
        while subprocess.run(ping, capture_output=True, check=False).stdout.strip() != b"PONG":
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@pytest.fixture
def redis(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: the Debian package redis-server brings it")
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()
