"""The fresh hold-out: users and events that neither policy was trained on, and the slices that the gate guards."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gream import columns
from gream.errors import DataError

COLD_USERS: Final = "cold users"
NEW_ITEMS: Final = "new items"
LONG_TAIL: Final = "long tail"
SLICES: Final = (COLD_USERS, NEW_ITEMS, LONG_TAIL)

COLD_LENGTH: Final = 5
"""A history of up to this many items is a cold user's."""

Mask = NDArray[np.bool_]
EVENT: Final = (columns.USER, columns.ITEM, columns.TIMESTAMP)


@dataclass(frozen=True)
class HoldOut:
    """One case for each user.

    Attributes:
        users: user ids.
        start: time of the first held-out event, in seconds since 1970 (UTC).
        slices: name -> `(n_users,)` bool, whether the user's case belongs to it.
    """

    users: tuple[str, ...]
    start: int
    slices: Mapping[str, Mask]

    @classmethod
    def of(
        cls,
        users: Sequence[str],
        histories: Sequence[Sequence[str]],
        targets: Sequence[str],
        start: int,
        champion_items: Set[str],
        head_items: Set[str],
    ) -> "HoldOut":
        """Cut the slices.

        Args:
            users: ids.
            histories: items of each user before their case.
            targets: the held-out item of each user.
            start: time of the first held-out event.
            champion_items: items that the champion can recommend.
            head_items: the popular items, by training data (`ServedItems.items` has them).

        Raises:
            DataError: there are no users, one comes twice, or the arguments are not aligned.
        """
        if not users or len(set(users)) != len(users):
            raise DataError("a hold-out needs users, each of them once.")
        if not len(users) == len(histories) == len(targets):
            raise DataError(
                f"a hold-out of {len(users)} users has {len(histories)} histories and {len(targets)} targets."
            )
        new = np.array([target not in champion_items for target in targets])
        tail = np.array([target not in head_items for target in targets]) & ~new
        cold = np.array([len(history) <= COLD_LENGTH for history in histories])
        return cls(tuple(users), start, {COLD_USERS: cold, NEW_ITEMS: new, LONG_TAIL: tail})


def leaked_events(hold_out: pl.DataFrame, training: pl.DataFrame) -> int:
    """How many held-out events stand in the training data.

    Args:
        hold_out: its events: user, item, timestamp.
        training: the challenger's interactions: the same columns, perhaps more.

    >>> event = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [5]})
    >>> leaked_events(event, event), leaked_events(event, event.with_columns(timestamp=pl.lit(4)))
    (1, 0)
    """
    return hold_out.select(EVENT).join(training.select(EVENT).unique(), EVENT, "semi").height
