"""The users that a run is measured on: histories and the one item held out from each."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gream.data.split import Split


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


def cases_for_test(split: Split, max_users: int, seed: int) -> Cases:
    """The test users, or a seeded sample of `max_users` of them (0: all). Histories hold the validation item too."""
    users = _sample(list(split.test), max_users, seed)
    return Cases(users, [split.test_history(user) for user in users], [split.test[user] for user in users])


def cases_for_validation(split: Split, max_users: int, seed: int) -> Cases:
    """The same for the validation items."""
    users = _sample(list(split.validation), max_users, seed)
    return Cases(users, [split.validation_history(user) for user in users], [split.validation[user] for user in users])


def _sample(users: list[str], limit: int, seed: int) -> list[str]:
    if not 0 < limit < len(users):
        return users
    chosen = np.random.default_rng(seed).choice(len(users), limit, replace=False)
    return [users[place] for place in sorted(chosen)]
