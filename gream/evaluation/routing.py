"""For whom reasoning is worth its cost: users in thirds by something that is known before they are answered."""

from dataclasses import dataclass

import numpy as np

from gream.errors import ConfigError
from gream.evaluation.metrics import Interval, paired_bootstrap


@dataclass(frozen=True)
class Slice:
    """Attributes:
    low, high: the least and the greatest of what the users were told apart by.
    users: how many.
    direct, reasoning: mean of the metric in each mode.
    gain: reasoning minus direct, over the same users.
    """

    low: float
    high: float
    users: int
    direct: float
    reasoning: float
    gain: Interval


def in_thirds(known: np.ndarray, direct: np.ndarray, reasoning: np.ndarray) -> list[Slice]:
    """Compare the modes in each third of the users.

    Args:
        known: (n,) what tells the users apart; users who are equal in it stay together, so that thirds may be uneven
            and fewer than three.
        direct: (n,) a metric of each user in direct mode.
        reasoning: (n,) the same in reasoning mode.

    Raises:
        ConfigError: there are no users, or not one value of each for every user.
    """
    if not len(known) or not known.shape == direct.shape == reasoning.shape:
        raise ConfigError(
            f"thirds need one value of each kind for every user; got {known.shape}, {direct.shape} and "
            f"{reasoning.shape}."
        )
    bounds = np.quantile(known, [1 / 3, 2 / 3], method="lower")
    third = np.searchsorted(bounds, known, side="left")
    return [
        Slice(
            float(known[rows].min()),
            float(known[rows].max()),
            int(rows.sum()),
            float(direct[rows].mean()),
            float(reasoning[rows].mean()),
            paired_bootstrap(reasoning[rows], direct[rows]),
        )
        for rows in (third == number for number in np.unique(third))
    ]
