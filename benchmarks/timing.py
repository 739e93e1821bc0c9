"""Wall-clock time of a piece of work, for the benchmarks."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def settle() -> None:
    """Wait until a GPU has done what it was given; CPUs have when a call returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """The result, and the seconds until it was there."""
    settle()
    started = time.perf_counter()
    result = work()
    settle()
    return result, time.perf_counter() - started


def rounds_of(rounds: int, work: Callable[[], Result]) -> tuple[Result, list[float]]:
    """The last result, and the seconds of each round."""
    results = [timed(work) for _ in range(rounds)]
    return results[-1][0], [seconds for _, seconds in results]


def best_of(rounds: int, work: Callable[[], Result]) -> tuple[Result, float]:
    """The last result, and the seconds of the quickest round: what else a machine does only ever adds to it."""
    result, seconds = rounds_of(rounds, work)
    return result, min(seconds)


def in_turns(rounds: int, *works: Callable[[], object]) -> list[list[float]]:
    """Seconds of each round, of one piece of work after the other: what a machine does meanwhile meets them alike."""
    turns = [[timed(work)[1] for work in works] for _ in range(rounds)]
    return [list(seconds) for seconds in zip(*turns, strict=True)]
