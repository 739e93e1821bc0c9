"""Where training sequences are cut: into windows for next-item prediction, and at single steps for one target each."""

from collections.abc import Mapping, Sequence

import numpy as np


def windows(length: int, size: int, offset: int) -> list[tuple[int, int]]:
    """Cut `length` events into consecutive windows of at most `size`, the last one ending `offset` before the end.

    Every event lies in exactly one window. The events after the last whole window form one of their own.

    Args:
        length: number of events, at least 1.
        size: events in a whole window.
        offset: events that are left after the last whole window, 0 to `size` - 1.

    Returns:
        (start, stop) pairs in time order.

    >>> windows(7, 3, 0), windows(7, 3, 2)
    ([(0, 1), (1, 4), (4, 7)], [(0, 2), (2, 5), (5, 7)])
    """
    stops = sorted({length, *range(length - offset, 0, -size)})
    return list(zip([0, *stops[:-1]], stops, strict=True))


def sample_steps(
    sequences: Mapping[str, Sequence[str]], count: int, minimum_history: int, rng: np.random.Generator
) -> list[tuple[str, int]]:
    """Draw steps of the sequences without repetition, spread over users as evenly as their lengths allow.

    Every user gives one random step before any gives a second, and so on until `count` are drawn or none is left.

    Args:
        sequences: user -> item ids in time order.
        count: steps wanted.
        minimum_history: events that must come before the target.
        rng: source of randomness.

    Returns:
        (user, position of the target) pairs, in random order within each round.
    """
    users = [user for user, items in sequences.items() if len(items) > minimum_history]
    steps = np.array([len(sequences[user]) - minimum_history for user in users], dtype=np.int64)
    owner = np.repeat(np.arange(len(users)), steps)
    position = np.arange(len(owner)) - np.repeat(np.cumsum(steps) - steps, steps) + minimum_history

    shuffled = rng.permutation(len(owner))
    by_owner = shuffled[np.argsort(owner[shuffled], kind="stable")]
    turn = np.empty(len(owner), dtype=np.int64)
    turn[by_owner] = position[np.arange(len(owner))] - minimum_history  # 0, 1, 2, ... within each user's shuffled steps
    drawn = shuffled[np.argsort(turn[shuffled], kind="stable")][:count]
    return [(users[owner[step]], int(position[step])) for step in drawn]
