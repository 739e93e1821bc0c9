import asyncio
import threading

import pytest
from lane_machine import ask, run

from gream.errors import RequestError
from serving.engine.lane import Lane, OverloadedError

pytestmark = pytest.mark.unit


def test_what_waits_while_a_batch_runs_is_the_next_one(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=4, max_waiting=100)
        first = ask(lane, [0])
        await asyncio.sleep(0)
        rest = ask(lane, [1, 2, 3, 4, 5])
        await asyncio.sleep(0)
        assert lane.waiting == 5
        machine.let(3)
        return await asyncio.gather(*first, *rest)

    assert run(scenario) == [0, 2, 4, 6, 8, 10]
    assert machine.batches == [[0], [1, 2, 3, 4], [5]]


def test_a_batch_is_held_open_for_those_who_were_just_answered(machine, monkeypatch):
    monkeypatch.setattr("serving.engine.lane.COURTESY", 1e6)  # Never over, while this test lasts.

    async def scenario():
        lane = Lane(machine.compute, max_batch=10, max_waiting=100)
        first = ask(lane, [1, 2])
        await asyncio.sleep(0)
        waits = ask(lane, [3])
        machine.let(1)
        await asyncio.gather(first[0])  # Taken alone; the other two have waited.
        back = ask(lane, [4])
        machine.let(1)
        return await asyncio.gather(*first, *waits, *back)

    assert run(scenario) == [2, 4, 6, 8]
    assert machine.batches == [[1], [2, 3, 4]]


def test_several_batches_at_once_where_the_engine_likes_it(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=1, max_waiting=100, parallel=3)
        asked = ask(lane, range(5))
        await asyncio.sleep(0)
        assert lane.waiting == 2
        machine.let(5)
        return await asyncio.gather(*asked)

    assert run(scenario) == [0, 2, 4, 6, 8]


@pytest.fixture
def doors():
    doors = [threading.Event() for _ in range(8)]
    yield doors
    for door in doors:
        door.set()


def test_each_of_several_batches_takes_its_share_of_those_present(doors, monkeypatch):
    # On a busy machine a batch would else be held open until the other one is done, and those left be shared anew.
    monkeypatch.setattr("serving.engine.lane.COURTESY", 0.0)
    batches = []

    def compute(numbers):
        """Doubles numbers behind the door of the first one, whatever threads there are and which is quicker."""
        doors[numbers[0]].wait(20)
        batches.append(list(numbers))
        return [2 * number for number in numbers]

    async def scenario():
        lane = Lane(compute, max_batch=100, max_waiting=100, parallel=2)
        first = ask(lane, [0])
        await asyncio.sleep(0)
        second = ask(lane, [1, 2, 3])  # One goes at once, into the other place; two wait.
        await asyncio.sleep(0)
        assert lane.waiting == 2
        third = ask(lane, [4, 5, 6, 7])  # Six wait, two are computed: a batch is four of them, then two of those left.
        for door in doors[:2]:
            door.set()
        await asyncio.gather(*first, *second[:1])
        for door in doors[2:]:
            door.set()
        return await asyncio.gather(*first, *second, *third)

    assert run(scenario) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert sorted(batches) == [[0], [1], [2, 3, 4, 5], [6, 7]]


def test_more_than_may_wait_is_refused_at_once(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=1, max_waiting=2)
        asked = ask(lane, [1, 2, 3])  # One is under way, two wait.
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="2 requests are waiting"):
            await lane.submit(4)
        machine.let(3)
        return await asyncio.gather(*asked)

    assert run(scenario) == [2, 4, 6]


def test_one_that_cannot_be_answered_does_not_harm_the_others(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=10, max_waiting=100)
        first = ask(lane, [0])
        await asyncio.sleep(0)
        rest = ask(lane, [1, 13, 2])
        await asyncio.sleep(0)
        machine.let(5)
        return await asyncio.gather(*first, *rest, return_exceptions=True)

    zero, one, refused, two = run(scenario)
    assert (zero, one, two) == (0, 2, 4)
    assert isinstance(refused, RequestError)
    assert machine.batches == [[0], [1, 13, 2], [1], [13], [2]]


def test_a_failure_is_told_to_all_of_its_batch_and_the_lane_goes_on(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=10, max_waiting=100)
        machine.let(3)
        first = await asyncio.gather(*ask(lane, [666]), return_exceptions=True)
        return first + await asyncio.gather(*ask(lane, [4]), return_exceptions=True)

    failed, answered = run(scenario)
    assert isinstance(failed, ValueError)
    assert answered == 8


def test_of_two_batches_that_end_the_later_one_says_how_long_the_next_is_held_open(doors, monkeypatch):
    monkeypatch.setattr("serving.engine.lane.COURTESY", 1e6)  # Never over, while this test lasts.

    def compute(numbers):
        doors[numbers[0]].wait(20)
        return numbers

    async def scenario():
        loop, holds = asyncio.get_running_loop(), []

        def call_later(seconds, call, *arguments):
            holds.append(honest(seconds, call, *arguments))
            return holds[-1]

        honest, loop.call_later = loop.call_later, call_later
        lane = Lane(compute, max_batch=10, max_waiting=100, parallel=2)
        first, second = ask(lane, [0, 1])
        await asyncio.sleep(0)
        for door, answer in ((doors[0], first), (doors[1], second)):
            door.set()
            await answer
        assert [hold.cancelled() for hold in holds] == [True, False]
        await lane.drain()

    run(scenario)


def test_draining_answers_everything(machine):
    async def scenario():
        lane = Lane(machine.compute, max_batch=1, max_waiting=100)
        asked = ask(lane, [1, 2, 3])
        await asyncio.sleep(0)
        machine.let(3)
        await lane.drain()
        return [future.result() for future in asked if future.done()]

    assert run(scenario) == [2, 4, 6]
