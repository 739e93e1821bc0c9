"""The served policy under load: direct mode by `gream serve`, with and without batching, beside a plain service.

    python -m benchmarks.serving --policy runs/latest/policy

Every figure is of this one run. Clients are asynchronous workers in one further process: on two cores they take part of
the machine from the servers, all of them alike. Each worker sends its next request when the last one is answered.
Requests that fail or are answered with less than was asked for count as errors, and for nothing else.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle, islice
from pathlib import Path
from urllib.request import urlopen

import aiohttp
import click
import numpy as np

from benchmarks.command import Benchmark
from benchmarks.engine_requests import K, engine_requests
from benchmarks.plain_service import BEAMS
from benchmarks.ratio import NoComparisonError, Ratio
from benchmarks.timing import timed
from gream.data.catalog import Catalog
from pipelines.loop.server import ServerError, free_port, running

CLIENTS = 32


@dataclass(frozen=True)
class Load:
    """What one level of concurrency measured.

    Attributes:
        milliseconds: of each request that was answered in full.
        errors: requests that were not.
        seconds: of all together.
    """

    milliseconds: np.ndarray
    errors: int
    seconds: float

    @property
    def throughput(self) -> float:
        return len(self.milliseconds) / self.seconds

    def row(self, name: str, concurrency: int) -> str:
        p50, p95, p99 = np.percentile(self.milliseconds, (50, 95, 99))
        return f"{name:<28}{concurrency:>4}  {p50:8.1f} {p95:8.1f} {p99:8.1f}  {self.throughput:8.1f}  {self.errors:>6}"


@dataclass(frozen=True)
class Measured:
    """Attributes:
    batched: load by number of clients.
    engine_ms: the engine's part of a single client's time, on average.
    single: load of 32 clients where one request is computed at a time.
    peer: load of 32 clients on the plain service.
    """

    batched: dict[int, Load]
    engine_ms: float
    single: Load
    peer: Load


def measure(policy: Path, requests: int) -> Measured:
    """Serve and ask; `requests` for each level of concurrency, a quarter of them for the plain service.

    Raises:
        NoComparisonError: see `run`.
    """
    catalog = Catalog.load(policy.resolve().parent / "catalog")
    sequences = catalog.sequences()
    users = list(islice(cycle(sequences), requests))
    by_user = [{"user_id": user, "k": K} for user in users]
    bare = [{"history": sequences[user], "k": K} for user in users]
    batched: dict[int, Load] = {}
    with served(policy) as url:
        run(url, "/recommend", by_user[:64], 8)
        before = computed_seconds(url)
        batched[1] = run(url, "/recommend", by_user, 1)
        engine = 1_000 * (computed_seconds(url) - before) / requests
        for concurrency in (8, CLIENTS):
            batched[concurrency] = run(url, "/recommend", by_user, concurrency)
    with served(policy, GREAM_MAX_BATCH="1", GREAM_ENGINE_BATCHES="1") as url:
        run(url, "/recommend", by_user[:64], 8)
        single = run(url, "/recommend", by_user, CLIENTS)
    with plain(policy) as url:
        run(url, "/recommend", bare[:8], 4)
        peer = run(url, "/recommend", bare[: requests // 4], CLIENTS)
    return Measured(batched, engine, single, peer)


def ratios(policy: Path = Path("runs/latest/policy"), requests: int = 1_280) -> list[Ratio]:
    """Throughput at 32 clients against one request at a time, and against the plain service; one round.

    Raises:
        NoComparisonError: one of the three did not answer all requests in full.
    """
    measured = measure(policy, requests)
    loads = {"gream serve": measured.batched[CLIENTS], "one at a time": measured.single, "generate": measured.peer}
    if failed := [f"{name} {load.errors}" for name, load in loads.items() if load.errors]:
        raise NoComparisonError(f"requests failed or were answered with less than was asked for: {', '.join(failed)}.")
    ours = measured.batched[CLIENTS].throughput
    return [
        Ratio(
            name, ours / other, ours / other, ours / other, f"{ours:.0f} and {other:.0f} requests/s, {CLIENTS} clients"
        )
        for name, other in (
            ("serving in batches beside one at a time", measured.single.throughput),
            ("serving beside a plain BentoML service with generate", measured.peer.throughput),
        )
    ]


@click.command(cls=Benchmark, help=__doc__)
@click.option("--policy", default="runs/latest/policy", show_default=True, type=click.Path(exists=True, path_type=Path))
@click.option("--requests", default=1_280, show_default=True, help="For each level of concurrency.")
def main(policy: Path, requests: int) -> None:
    measured = measure(policy, requests)
    click.echo(f"{'service':<28}{'conc':>4}  {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}  {'req/s':>8}  errors")
    for concurrency, load in measured.batched.items():
        click.echo(load.row("gream serve", concurrency))
    click.echo(measured.single.row("gream serve, one at a time", CLIENTS))
    click.echo(measured.peer.row(f"generate, {BEAMS} beams", CLIENTS))
    ours = measured.batched[CLIENTS].throughput
    click.echo(f"\nbatching, concurrency {CLIENTS}: {ours / measured.single.throughput:.1f} x one at a time")
    click.echo(f"beside the plain service, concurrency {CLIENTS}: {ours / measured.peer.throughput:.1f} x")
    alone = engine_alone(policy, requests)
    click.echo(f"the engine's batches alone: {alone:.1f} req/s; served are {ours / alone:.0%} of it")
    middle = np.median(measured.batched[1].milliseconds)
    click.echo(
        f"concurrency 1: {middle:.1f} ms at p50; {measured.engine_ms:.1f} ms of it are the engine's on average, the "
        "rest is features, API and transport"
    )


def engine_alone(policy: Path, requests: int) -> float:
    """The floor: requests a second of the engine's batches for so many clients, without API, features and transport."""
    # Late: the clients of the measurements before need no torch.
    from serving.engine.transformers_engine import TransformersEngine
    from serving.settings import ServingSettings

    asked = engine_requests(policy, requests)
    engine, lanes = TransformersEngine.load(policy, "alone"), TransformersEngine.batches_at_once(ServingSettings())
    size = CLIENTS // lanes
    batches = [asked[start : start + size] for start in range(0, requests, size)]
    with ThreadPoolExecutor(lanes) as threads:
        list(threads.map(engine.recommend, batches[:lanes]))
        _, seconds = timed(lambda: list(threads.map(engine.recommend, batches)))
    return requests / seconds


def run(url: str, path: str, bodies: Sequence[dict[str, object]], concurrency: int) -> Load:
    """Send all bodies by so many workers.

    Raises:
        NoComparisonError: none was answered in full.
    """
    answers: list[tuple[float, int, bytes]] = []

    async def worker(client: aiohttp.ClientSession, todo: Iterator[dict[str, object]]) -> None:
        for body in todo:
            started = time.perf_counter()
            async with client.post(path, json=body) as answer:
                said = await answer.read()
            answers.append((1_000 * (time.perf_counter() - started), answer.status, said))

    async def everything() -> float:
        todo = iter(bodies)
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(120)) as client:
            started = time.perf_counter()
            await asyncio.gather(*(worker(client, todo) for _ in range(concurrency)))
            return time.perf_counter() - started

    seconds = asyncio.run(everything())
    # Only now: to read them takes time from the servers.
    in_full = [taken for taken, status, said in answers if status == HTTPStatus.OK and not is_degraded(said)]
    if not in_full:
        raise NoComparisonError(f"{url}{path} answered none of {len(bodies)} requests in full.")
    return Load(np.array(in_full), len(answers) - len(in_full), seconds)


def is_degraded(said: bytes) -> bool:
    """Whether an answer says that it is less than what was asked for; the plain service's, a bare list, never does."""
    answer = json.loads(said)
    return isinstance(answer, dict) and answer["degraded"]


def computed_seconds(url: str) -> float:
    """Seconds of computation that recommendations have taken so far, by the API's own metrics."""
    seconds = 0.0
    with urlopen(f"{url}/metrics", timeout=30) as answer:
        metrics = answer.read().decode()
    for line in metrics.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("gream_recommend_seconds_sum") and 'stage="engine"' in name:
            seconds += float(value)
        elif name.startswith("gream_engine_queue_seconds_sum"):
            seconds -= float(value)
    return seconds


@contextmanager
def served(policy: Path, **settings: str) -> Iterator[str]:
    """`gream serve` on a free port, with a state folder of its own."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "gream"), "serve", "--policy", str(policy), "--port", str(port)]
    with tempfile.TemporaryDirectory() as state, process(command, port, GREAM_STATE=state, **settings) as url:
        yield url


@contextmanager
def plain(policy: Path) -> Iterator[str]:
    """`benchmarks.plain_service` on a free port."""
    port = free_port()
    bento = str(Path(sys.executable).parent / "bentoml")
    command = [bento, "serve", "benchmarks.plain_service:Plain", "--host", "127.0.0.1", "--port", str(port)]
    with process(command, port, GREAM_POLICY=str(policy)) as url:
        yield url


@contextmanager
def process(command: list[str], port: int, **settings: str) -> Iterator[str]:
    """A server until the block ends, ready from its beginning; if it does not become ready, what it said is shown."""
    with tempfile.NamedTemporaryFile() as log:
        try:
            with running(command, f"http://127.0.0.1:{port}", settings, Path(log.name)) as url:
                yield url
        except ServerError:
            sys.stderr.write(Path(log.name).read_text(encoding="utf-8", errors="replace"))
            raise


if __name__ == "__main__":
    main()
