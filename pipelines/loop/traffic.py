"""A day of visitors: each asks the served policy, takes a film, and tells the shop what it took."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from gream.evaluation.cases import Cases
from pipelines.loop.world import Shift, World

LIST_LENGTH: Final = 10
WORKERS: Final = 8
TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Day:
    """What a day's visitors met with.

    Attributes:
        hits: for each visit, whether what was taken stood in the list.
        cases: for each visit, the history that the shop knew before it, and what was taken.
        failed: requests that were not answered 200.
        versions: policy versions that answered, with their numbers of answers.
    """

    hits: tuple[bool, ...]
    cases: Cases
    failed: int
    versions: dict[str, int]


@dataclass
class _Visit:
    user: str
    item: str
    history: list[str] = field(default_factory=list)
    hit: bool = False
    failed: int = 0
    version: str = ""


def play_day(url: str, world: World, number: int, visits: int, shift: Shift | None) -> Day:
    """Let the visitors of a day come, a few at a time.

    Args:
        url: of the API.
        world: who comes and what they take.
        number: of the day, which names its events.
        visits: how many come.
        shift: what has changed.
    """
    wishes = [(user, world.take(user, shift)) for user in world.visitors(visits, shift)]
    done = asyncio.run(_everybody(url, number, wishes))
    return Day(
        hits=tuple(visit.hit for visit in done),
        cases=Cases([visit.user for visit in done], [visit.history for visit in done], [visit.item for visit in done]),
        failed=sum(visit.failed for visit in done),
        versions=dict(Counter(visit.version for visit in done if visit.version)),
    )


async def _everybody(url: str, number: int, wishes: Sequence[tuple[str, str]]) -> list[_Visit]:
    done: list[_Visit] = []

    async def worker(client: httpx.AsyncClient, todo: Iterator[tuple[str, str]]) -> None:
        for user, item in todo:
            done.append(await _visit(client, f"day-{number}-user-{user}", user, item))

    todo = iter(wishes)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
        await asyncio.gather(*(worker(client, todo) for _ in range(WORKERS)))
    return done


async def _visit(client: httpx.AsyncClient, name: str, user: str, item: str) -> _Visit:
    visit = _Visit(user, item)
    known = await client.get(f"/users/{user}/history")
    if known.status_code == httpx.codes.OK:  # Of a newcomer nothing is known.
        visit.history = [entry["item_id"] for entry in known.json()["entries"]]
    answer = await client.post("/recommend", json={"user_id": user, "k": LIST_LENGTH})
    if answer.status_code != httpx.codes.OK:
        visit.failed = 1
        return visit
    told = answer.json()
    visit.version = told["policy_version"]
    visit.hit = item in [shown["item_id"] for shown in told["items"]]
    event = {"event_id": name, "user_id": user, "item_id": item, "kind": "click", "timestamp": int(time.time())}
    if visit.hit:
        event["request_id"] = told["request_id"]
    kept = await client.post("/feedback", json={"events": [event]})
    visit.failed = int(kept.status_code != httpx.codes.OK)
    return visit
