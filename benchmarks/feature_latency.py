"""How long the API waits for a history, and whether it waits longer after a thousand calls (feast#6841).

    python -m benchmarks.feature_latency --data movielens-100k

Each store is built from the catalog in a scratch folder and read 1,000 times, user after user. The ratio is that of the
medians of the last and the first 100 calls. Redis runs only where redis-server is installed.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path

import click
import numpy as np
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.command import Benchmark
from gream import columns
from gream.data.catalog import Catalog
from gream.data.importers import import_catalog
from serving.features.build import build_features
from serving.features.reader import FeastUserFeatures
from serving.settings import ServingSettings

CALLS, PART = 1_000, 100


@click.command(cls=Benchmark, help=__doc__)
@click.option("--data", default="movielens-100k", show_default=True)
def main(data: str) -> None:
    catalog = import_catalog(data, k_core=5)
    click.echo("store   calls     p50 ms  p99 ms")
    with tempfile.TemporaryDirectory() as scratch:
        report(catalog, ServingSettings(state=Path(scratch) / "sqlite", online_store="sqlite"))
        if shutil.which("redis-server") is None:
            click.echo("redis   redis-server is not installed")
            return
        with redis_server(scratch) as address:
            settings = ServingSettings(state=Path(scratch) / "redis", online_store="redis", redis=SecretStr(address))
            report(catalog, settings)


def report(catalog: Catalog, settings: ServingSettings) -> None:
    build_features(catalog, settings)
    reader = FeastUserFeatures(settings)
    users = catalog.interactions[columns.USER].unique(maintain_order=True).to_list()
    assert reader.history(users[0]) is not None  # The first read ever connects and reads the registry.
    seconds = []
    for user in islice(cycle(users), CALLS):
        started = time.perf_counter()
        reader.history(user)
        seconds.append(time.perf_counter() - started)
    reader.close()
    milliseconds = 1_000 * np.array(seconds)
    parts = {"first": milliseconds[:PART], "last": milliseconds[-PART:]}
    for name, part in parts.items():
        p50, p99 = np.quantile(part, [0.5, 0.99])
        click.echo(f"{settings.online_store:<6}  {name:>5} {PART}  {p50:>6.3f}  {p99:>6.3f}")
    click.echo(
        f"{settings.online_store:<6}  ratio last/first p50 {np.median(parts['last']) / np.median(parts['first']):.2f}"
    )


@contextmanager
def redis_server(folder: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with suppress(RedisConnectionError):
                Redis(port=port).ping()
                break
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
