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


def rounds_of(rounds: int, work: Callable[[], object]) -> list[float]:
    """Seconds of each round."""
    return [timed(work)[1] for _ in range(rounds)]


def best_of(rounds: int, work: Callable[[], Result]) -> tuple[Result, float]:
    """The last result, and the seconds of the quickest round: what else a machine does only ever adds to it."""
    results = [timed(work) for _ in range(rounds)]
    return results[-1][0], min(seconds for _, seconds in results)
