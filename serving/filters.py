"""Filters as item numbers, so that they work inside the trie."""

from bisect import bisect_left
from collections.abc import Sequence, Set

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gream import columns


class ItemFilters:
    """Which items of a catalogue carry which category (compared without case), and which are new."""

    def __init__(self, items: pl.DataFrame, added: int) -> None:
        """Args:
        items: the items table; its row numbers are the item numbers.
        added: how many of its last items the policy was not trained with.
        """
        self._n_items = items.height
        self._trained = items.height - added
        carried = (
            items.select(pl.col(columns.CATEGORIES))
            .with_row_index("number")
            .explode(columns.CATEGORIES)
            .drop_nulls()
            .select("number", pl.col(columns.CATEGORIES).map_elements(str.casefold, return_dtype=pl.String))
            .group_by(columns.CATEGORIES)
            .agg(pl.col("number").unique().sort())
        )
        self._numbers: dict[str, NDArray[np.int64]] = {
            name: np.array(numbers, dtype=np.int64) for name, numbers in carried.iter_rows()
        }

    def outside(self, categories: Sequence[str], new_only: bool) -> NDArray[np.bool_]:
        """For each item whether it is filtered out; a new array, which the caller may change.

        Args:
            categories: an item must carry one of them, where any is named.
            new_only: whether it must be new.
        """
        left_out = np.full(self._n_items, bool(categories))
        for name in dict.fromkeys(category.casefold() for category in categories):
            left_out[self._numbers.get(name, [])] = False
        if new_only:
            left_out[: self._trained] = True
        return left_out

    def leave(self, categories: Sequence[str], new_only: bool, excluded: Set[int]) -> bool:
        """Whether an item remains that is neither filtered out nor excluded; costs the same in any catalogue.

        Args:
            categories: see `outside`.
            new_only: see `outside`.
            excluded: numbers of items that do not count.
        """
        names = dict.fromkeys(category.casefold() for category in categories)
        named = [self._numbers.get(name, np.empty(0, np.int64)) for name in names]
        for numbers in named if categories else [range(self._n_items)]:
            first = bisect_left(numbers, self._trained) if new_only else 0
            # Of one number more than are excluded, one is not.
            if any(number not in excluded for number in numbers[first : first + len(excluded) + 1]):
                return True
        return False
