"""Data scarcity on purpose: what a run is worth where a shop knows less of its items."""

import numpy as np
import polars as pl

from gream import columns
from gream.data.catalog import Catalog


def remove_texts(catalog: Catalog, share: float, seed: int) -> Catalog:
    """The catalog with nothing but the title left of some items: no description, brand, categories or reviews.

    Args:
        catalog: as imported.
        share: of the items, 0 to 1, that lose their texts. Under one seed a larger share holds all of a smaller one.
        seed: of their draw.
    """
    count = round(share * catalog.items.height)
    bare = np.random.default_rng(seed).permutation(catalog.items.height)[:count]
    names = catalog.items[np.sort(bare).tolist()][columns.ITEM]
    has_lost = pl.col(columns.ITEM).is_in(names.implode())
    empty = {name: pl.lit("") for name in (columns.DESCRIPTION, columns.BRAND, columns.REVIEW)}
    empty[columns.CATEGORIES] = pl.lit([], pl.List(pl.String))

    def emptied(table: pl.DataFrame) -> pl.DataFrame:
        return table.with_columns(
            pl.when(has_lost).then(nothing).otherwise(pl.col(name)).alias(name)
            for name, nothing in empty.items()
            if name in table.columns
        )

    return Catalog(emptied(catalog.interactions), emptied(catalog.items), catalog.facts)
