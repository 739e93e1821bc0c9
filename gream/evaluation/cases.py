"""The users that a run is measured on: histories and the one item held out from each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gream.data.split import Split

SAMPLE_SEED: Final = 0
"""Of the samples of users on whom runs are measured: they belong to the protocol, and are the same whatever seed a run
has, or runs of several seeds could not be compared."""


@dataclass(frozen=True)
class Cases:
    """Attributes:
    users: user ids.
    histories: for each user the item ids that are known, oldest first.
    targets: for each user the item id to be found.
    """

    users: list[str]
    histories: list[list[str]]
    targets: list[str]

    def seen(self, exclude_seen: bool) -> list[list[str]] | None:
        """What must not be recommended to each user under the protocol; None where everything may be."""
        return self.histories if exclude_seen else None

    def numbers(self, number: Mapping[str, int]) -> tuple[list[list[int]], np.ndarray]:
        """Histories and targets `(n_users,)` as item numbers."""
        histories = [[number[item] for item in history] for history in self.histories]
        return histories, np.array([number[item] for item in self.targets], dtype=np.int64)

    def sample(self, size: int, seed: int) -> tuple[np.ndarray, "Cases"]:
        """Rows `(size,)` and cases of a seeded sample of `size` users; 0, or more than there are, takes all."""
        rows = np.arange(len(self.users))
        if 0 < size < len(self.users):
            rows = np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
        chosen = Cases(
            [self.users[row] for row in rows],
            [self.histories[row] for row in rows],
            [self.targets[row] for row in rows],
        )
        return rows, chosen


def cases_for_test(split: Split, max_users: int, seed: int) -> Cases:
    """The test users, or a seeded sample of `max_users` of them (0: all). Histories hold the validation item too."""
    users = list(split.test)
    cases = Cases(users, [split.test_history(user) for user in users], list(split.test.values()))
    return cases.sample(max_users, seed)[1]


def cases_for_validation(split: Split, max_users: int, seed: int) -> Cases:
    """The same for the validation items."""
    users = list(split.validation)
    cases = Cases(users, [split.validation_history(user) for user in users], list(split.validation.values()))
    return cases.sample(max_users, seed)[1]
