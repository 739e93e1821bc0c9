"""Callers that give up: they leave the queue, and nothing is computed for them."""

import asyncio

import pytest
from lane_machine import ask, run

from serving.engine.lane import Lane

pytestmark = pytest.mark.unit


def test_who_gives_up_is_not_computed(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=10, max_waiting=100)
        first, gone, stays = ask(lane, [1, 2, 3])
        await asyncio.sleep(0)
        gone.cancel()
        machine.let(2)
        return await asyncio.gather(first, stays)

    assert run(scenario) == [2, 6]
    assert machine.batches == [[1], [3]]


def test_who_gives_up_makes_room_at_once(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=1, max_waiting=2)
        first, gone, stays = ask(lane, [1, 2, 3])
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert lane.waiting == 1
        late = ask(lane, [4])
        machine.let(3)
        return await asyncio.gather(first, stays, *late)

    assert run(scenario) == [2, 6, 8]


def test_who_gives_up_is_not_asked_alone_either(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=10, max_waiting=100)
        first = ask(lane, [0])
        await asyncio.sleep(0)
        one, refused, gone = ask(lane, [1, 13, 2])
        await asyncio.sleep(0)
        machine.let(3)  # The first, the whole batch, and the one of it that comes first.
        await one
        gone.cancel()
        machine.let(2)
        await asyncio.gather(*first, refused, gone, return_exceptions=True)
        await lane.drain()

    run(scenario)
    assert machine.batches == [[0], [1, 13, 2], [1], [13]]
