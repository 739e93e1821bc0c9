import gzip
import shutil
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
from api_server import free_port, gream_serve
from background_server import in_background
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


class Collector(ThreadingHTTPServer):
    """Takes what OpenTelemetry sends.

    Attributes:
        bodies: of what was posted to /v1/traces.
    """

    def __init__(self) -> None:
        bodies = self.bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="session")
def collector():
    with in_background(Collector()) as running:
        yield running


@pytest.fixture(scope="session")
def server(shop, collector, tmp_path_factory):
    """The online path, started by `gream serve`; shared by the tests that leave it as it is."""
    traces = f"http://127.0.0.1:{collector.server_port}"
    with gream_serve(shop / "policy", tmp_path_factory.mktemp("server"), OTEL_EXPORTER_OTLP_ENDPOINT=traces) as running:
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
