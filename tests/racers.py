"""Two processes that try to move the same thing at the same time."""

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

ROUNDS = 8
SPAWN = multiprocessing.get_context("spawn")


def winners(
    open_place: Callable[[str], Any], where: str, digests: Sequence[str], refusal: type[Exception]
) -> list[str]:
    """Who wins each of `ROUNDS` races, as the JSON of its move; exactly one does, or an assertion fails.

    Args:
        open_place: opens what has `read()` and `move(digest, expected=...)`; of a module, so that it can be sent.
        where: what is opened.
        digests: what each process moves it to.
        refusal: what the loser gets.
    """
    barrier, outcomes = SPAWN.Barrier(len(digests), timeout=120), SPAWN.Queue()
    racers = [
        SPAWN.Process(target=_race, args=(open_place, where, digest, refusal, barrier, outcomes), daemon=True)
        for digest in digests
    ]
    for racer in racers:
        racer.start()
    seen = [outcomes.get(timeout=120) for _ in range(len(digests) * ROUNDS)]
    for racer in racers:
        racer.join()
    won = [(number, move) for number, move in seen if move is not None]
    assert sorted(number for number, _ in won) == list(range(ROUNDS))
    return [move for _, move in sorted(won)]


def _race(
    open_place: Callable[[str], Any], where: str, digest: str, refusal: type[Exception], barrier: Any, outcomes: Any
) -> None:
    place = open_place(where)
    for number in range(ROUNDS):
        seen = place.read()
        barrier.wait()  # All have read the same state, and only now they move.
        try:
            outcomes.put((number, place.move(digest, expected=seen).model_dump_json()))
        except refusal:
            outcomes.put((number, None))
        barrier.wait()
