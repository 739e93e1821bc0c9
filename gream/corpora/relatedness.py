"""How strongly the items of a history bear on the item that followed: by what users do, and by category.

Behaviour counts most: items that other users chose within a few steps of the target. Each step's own pairs are taken
out of the counts first, since they would only say that the history is near its own target.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

REACH = 5
"""Steps apart that still count as together, each pair with weight 1/distance."""


class Relatedness:
    """Co-occurrence of items in the training sequences."""

    def __init__(self, sequences: Mapping[str, Sequence[str]]) -> None:
        """Count the pairs of all sequences.

        Args:
            sequences: user -> item ids of the training part, in time order.
        """
        self._number = {item: n for n, item in enumerate(dict.fromkeys(i for s in sequences.values() for i in s))}
        flat = np.array([self._number[item] for items in sequences.values() for item in items], dtype=np.int64)
        owner = np.repeat(np.arange(len(sequences)), [len(items) for items in sequences.values()])
        counts = sparse.csr_array((len(self._number), len(self._number)))
        for distance in range(1, REACH + 1):
            together = owner[:-distance] == owner[distance:]
            pairs = (flat[:-distance][together], flat[distance:][together])
            weights = np.full(len(pairs[0]), 1.0 / distance)
            counts = counts + sparse.csr_array((weights, pairs), shape=counts.shape)
        self._counts = sparse.csr_array(counts + counts.T)
        self._totals = np.asarray(self._counts.sum(axis=1)).ravel()

    def scores(self, histories: Sequence[Sequence[str]], targets: Sequence[str]) -> list[np.ndarray]:
        """Relatedness of each history's items to its target.

        Args:
            histories: item ids, oldest first, ending right before the target.
            targets: item ids, one for each history.

        Returns:
            One array for each history, aligned with it: counts divided by the root of both items' totals (0 to 1).
        """
        if not histories:
            return []
        lengths = [len(history) for history in histories]
        left = np.array([self._number[item] for history in histories for item in history], dtype=np.int64)
        right = np.repeat([self._number[target] for target in targets], lengths)
        distance = np.concatenate([np.arange(length, 0, -1) for length in lengths])
        own = np.where(distance <= REACH, 1.0 / distance, 0.0)
        own[left == right] *= 2  # A pair of one item with itself is counted from both ends.
        step = np.repeat(np.arange(len(histories)), lengths)
        _, item = np.unique(step * len(self._number) + left, return_inverse=True)
        # An item that stands in a history several times has as many own pairs. They are added as they were counted,
        # the nearest first: what nobody else has then leaves 0, and not a rounding that would pass for relatedness.
        own = np.bincount(item[::-1], weights=own[::-1])[item]
        others = np.maximum(np.asarray(self._counts[left, right]).ravel() - own, 0.0)
        cosine = others / np.sqrt(self._totals[left] * self._totals[right])
        return np.split(cosine, np.cumsum(lengths)[:-1])
