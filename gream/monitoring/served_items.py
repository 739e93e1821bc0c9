"""The items that the champion serves, as the monitors see them: coarse on purpose.

A distance between two distributions over thousands of items is large on identical data. So items are looked at by the
first level of their index and by how popular they were in the training data, and all but the most common codes and
categories are one bucket. Which those are follows from the training data alone: chosen by the reference windows, they
would fit these better than any later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from gream import columns
from gream.errors import DataError
from gream.indexing.semantic_index import SemanticIndex

if TYPE_CHECKING:
    from gream.monitoring.calibration import Calibration

OTHER: Final = "(other)"
NONE: Final = "(none)"
MOST_BUCKETS: Final = 30
"""Buckets of a distribution beside `OTHER` and `NONE`."""
HEAD_SHARE: Final = 0.2
"""Share of the items, the most popular ones, that are called the head."""


@dataclass(frozen=True)
class ServedItems:
    """Attributes:
    items: one row for each item: its id, `level1` (its code as text), `surprise` (minus the logarithm of its share in
        the training data, 1 for an item that nobody took) and `head` (whether it is among the most popular).
    level1: the codes that are told apart.
    categories: the categories that are told apart.
    """

    items: pl.DataFrame
    level1: tuple[str, ...]
    categories: tuple[str, ...]

    @classmethod
    def of(cls, index: SemanticIndex, items: pl.DataFrame, interactions: pl.DataFrame) -> "ServedItems":
        """Look at a policy's items.

        Args:
            index: the policy's index.
            items: the policy's table of items.
            interactions: its training data, at least the column `item_id`; other items' rows do not count.

        Raises:
            DataError: the index has no item.
        """
        if not index.item_ids:
            raise DataError("an index without items cannot be monitored.")
        codes = pl.DataFrame({columns.ITEM: index.item_ids, "level1": index.codes[:, 0].astype(str)})
        counts = interactions.group_by(columns.ITEM).len("count")
        # One more for each, so that an item nobody took has a logarithm too.
        counted = codes.join(counts, columns.ITEM, "left", maintain_order="left").with_columns(
            (pl.col("count").fill_null(0) + 1).cast(pl.Float64)
        )
        head = counted.height - int(HEAD_SHARE * counted.height)
        # By the logarithm of all, which new items hardly move: measured by the rarest of those that are served, each
        # indexing would make every other item look less rare.
        total = pl.col("count").sum()
        described = counted.with_columns(
            ((total / pl.col("count")).log() / total.log()).fill_nan(1.0).alias("surprise"),
            (pl.col("count").rank("ordinal") > head).alias("head"),
        )
        categories = items.select(columns.ITEM, columns.CATEGORIES).explode(columns.CATEGORIES).drop_nulls()
        return cls(
            items=described.select(columns.ITEM, "level1", "surprise", "head"),
            level1=_most_common(counted, "level1"),
            categories=_most_common(categories.join(counted, columns.ITEM), columns.CATEGORIES),
        )

    def told_apart_by(self, calibration: "Calibration") -> "ServedItems":
        """The same items in the buckets of a calibration: which codes and categories are common changes with the
        catalog, and windows are only comparable in those of the reference."""
        level1, categories = (calibration.buckets[name][: -len((OTHER, NONE))] for name in ("last_level1", "category"))
        return replace(self, level1=level1, categories=categories)


def bucket_of(value: pl.Expr, buckets: Sequence[str]) -> pl.Expr:
    """The value where it has a bucket of its own, else `OTHER`, or `NONE` where there is no value."""
    return (
        pl.when(value.is_null())
        .then(pl.lit(NONE))
        .when(value.is_in(list(buckets)))
        .then(value)
        .otherwise(pl.lit(OTHER))
    )


def _most_common(rows: pl.DataFrame, column: str) -> tuple[str, ...]:
    sums = rows.group_by(column).agg(pl.col("count").sum()).sort("count", column, descending=[True, False])
    return tuple(sums[column].head(MOST_BUCKETS))
