"""Items that nobody has bought yet: a catalog without some of its items, and what their first buyers had bought before.

The hidden items are taken out of the catalog with all their events; a policy that is trained on the rest has never
heard of them. They come back through their texts alone (`gream.policy.extend`), and the users whose last item is one of
them are the test.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from gream import columns
from gream.data.catalog import Catalog
from gream.data.transitions import REACH, RECENCY
from gream.errors import ConfigError
from gream.evaluation.cases import Cases
from gream.indexing.item_space import unit_rows


def hide_items(catalog: Catalog, share: float, seed: int) -> tuple[Catalog, pl.DataFrame]:
    """The catalog without a seeded draw of its items, and their rows of the items table.

    Raises:
        ConfigError: the share is not between 0 and 1, or hides no item or all of them.
    """
    count = round(share * catalog.items.height)
    if not 0.0 < share < 1.0 or not 0 < count < catalog.items.height:
        raise ConfigError(
            f"share = {share} hides {count} of {catalog.items.height} items; it must be between 0 and 1, and hide some "
            "of them."
        )
    rows = np.random.default_rng(seed).choice(catalog.items.height, count, replace=False)
    hidden = catalog.items[np.sort(rows).tolist()]
    warm = replace(
        catalog,
        interactions=catalog.interactions.join(hidden, on=columns.ITEM, how="anti", maintain_order="left"),
        items=catalog.items.join(hidden, on=columns.ITEM, how="anti", maintain_order="left"),
    )
    return warm, hidden


def first_buyers(catalog: Catalog, hidden: Sequence[str]) -> Cases:
    """Users whose last item is hidden, with what they had taken before, hidden items left out; who had taken nothing
    else is no case."""
    unknown = set(hidden)
    users, histories, targets = [], [], []
    for user, items in catalog.sequences().items():
        history = [item for item in items[:-1] if item not in unknown]
        if items[-1] in unknown and history:
            users.append(user)
            histories.append(history)
            targets.append(items[-1])
    return Cases(users, histories, targets)


class TextKnn:
    """Cosine of items' text vectors to those of the history, its latest items counting most (as for transitions)."""

    def __init__(self, vectors: np.ndarray) -> None:
        """Args:
        vectors: (n_items, d); an item without a text is zero.
        """
        self._unit = unit_rows(vectors)

    def score(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Summed cosines of each item to the items of each history: `(b, n_items)`."""
        tastes = [
            RECENCY ** np.arange(min(len(history), REACH)) @ self._unit[list(history)[: -REACH - 1 : -1]]
            for history in histories
        ]
        scores: np.ndarray = np.array(tastes) @ self._unit.T
        return scores
