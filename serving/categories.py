"""Category filters as item numbers, so that they work inside the trie."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gream import columns


class CategoryIndex:
    """Which items of a catalogue carry which category; categories are compared without case."""

    def __init__(self, items: pl.DataFrame) -> None:
        """Args:
        items: the items table; its row numbers are the item numbers.
        """
        self._n_items = items.height
        carried = (
            items.select(pl.col(columns.CATEGORIES))
            .with_row_index("number")
            .explode(columns.CATEGORIES)
            .drop_nulls()
            .select("number", pl.col(columns.CATEGORIES).map_elements(str.casefold, return_dtype=pl.String))
            .group_by(columns.CATEGORIES)
            .agg("number")
        )
        self._numbers: dict[str, NDArray[np.int64]] = {
            name: np.array(numbers, dtype=np.int64) for name, numbers in carried.iter_rows()
        }

    def outside(self, categories: Sequence[str]) -> NDArray[np.int64]:
        """Sorted numbers of the items that carry none of the categories; of no item where no category is named."""
        if not categories:
            return np.empty(0, dtype=np.int64)
        left_out = np.ones(self._n_items, dtype=bool)
        for category in categories:
            left_out[self._numbers.get(category.casefold(), [])] = False
        return np.flatnonzero(left_out)
