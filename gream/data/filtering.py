"""Row filters on interactions: exact duplicates, and the k-core."""

import polars as pl

from gream import columns
from gream.errors import DataError


def drop_duplicate_events(interactions: pl.DataFrame) -> pl.DataFrame:
    """Keep the first of the events that share user, item and timestamp. A later return to the same item stays."""
    return interactions.unique([columns.USER, columns.ITEM, columns.TIMESTAMP], keep="first", maintain_order=True)


def k_core(interactions: pl.DataFrame, k: int) -> pl.DataFrame:
    """The largest part of the interactions in which every user and every item has at least `k` of them.

    Users and items below `k` are dropped together until nothing changes; the fixpoint is unique, whatever the order.

    Args:
        interactions: one row for each event, in any order (which is kept).
        k: the least number of events; 0 or 1 returns the input.

    Raises:
        DataError: nothing is left.
    """
    if k <= 1:
        return interactions
    core = interactions
    while True:
        smaller = core.filter((pl.len().over(columns.USER) >= k) & (pl.len().over(columns.ITEM) >= k))
        if smaller.height == core.height:
            break
        core = smaller
    if core.is_empty():
        longest, popular = (_largest_group(interactions, name) for name in (columns.USER, columns.ITEM))
        raise DataError(
            f"k_core = {k} leaves nothing of {interactions.height:,} interactions (the most active user has {longest}, "
            f"the most popular item {popular}). Lower data.k_core or bring more data."
        )
    return core


def _largest_group(interactions: pl.DataFrame, column: str) -> int:
    largest = interactions.group_by(column).len()["len"].max()
    return largest if isinstance(largest, int) else 0
