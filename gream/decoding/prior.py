"""A second opinion on the next item, that joins the search: a product of two experts (Hinton, 2002).

    P(item) ~ P_policy(item) * (1 + count(item) / SMOOTHING) ** weight

The counts are those of who followed whom in the training data. An item without a count has what the policy gives it,
and one that both speak for goes ahead of one that only one of them does. (Mixtures of the two distributions, by a
weight or with discounted counts, rank worse: docs/results.md.)

In logarithms the count's factor is a bonus. A prefix of index tokens is ranked by the best that may become of it: its
log-probability and the highest bonus of the items below it. No item below can have more, so that with as many beams as
items the search is exact, and an item that only the prior knows is found too.

Scores are log-probabilities again when the sum over all items is taken off. A search sees some of them at its last
step, those that rank high; the others go into its sum as if they had no bonus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gream.decoding.item_filter import ItemFilter
from gream.decoding.keys import find_keys
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError

SMOOTHING: Final = 0.3
"""A count of this size doubles what an item is worth at weight 1. Chosen once, on the validation items of
MovieLens-100K and Amazon Beauty together."""


@dataclass(frozen=True)
class ItemPrior:
    """Attributes:
    bonus: (rows, n_items) sparse, not negative: what is added to the log-probabilities of items after each prompt.
    """

    bonus: sparse.csr_matrix

    @classmethod
    def of(
        cls,
        counts: sparse.csr_matrix,
        weight: float,
        exclude: Sequence[Sequence[int] | NDArray[np.integer]] | None = None,
        filters: Sequence[ItemFilter | None] = (),
    ) -> "ItemPrior":
        """The prior by counts.

        Args:
            counts: (rows, n_items), not negative.
            weight: how much they count beside the policy; 0 makes them silent.
            exclude: items that may not come back, for each row; with a bonus they would draw beams where nothing is.
            filters: of each row, where any has one; they silence what they leave out.

        Raises:
            RequestError: the weight is negative.
        """
        if weight < 0.0:
            raise RequestError(f"the prior's weight must be at least 0, not {weight}.")
        bonus = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
        bonus.data = weight * np.log1p(bonus.data / SMOOTHING)
        for row, items in enumerate(exclude or ()):
            here = slice(*bonus.indptr[row : row + 2])
            bonus.data[here][np.isin(bonus.indices[here], items)] = 0.0
        for row, one in enumerate(filters):
            if one is not None:
                here = slice(*bonus.indptr[row : row + 2])
                bonus.data[here][one.left_out[bonus.indices[here]]] = 0.0
        bonus.eliminate_zeros()
        return cls(bonus)

    def add_to(self, row: int, log_probs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_items,) log-probabilities of all items in a row, from the policy's."""
        ranked = log_probs + np.asarray(self.bonus[[row]].todense()).ravel()
        normalised: NDArray[np.float64] = ranked - np.logaddexp.reduce(ranked)
        return normalised


@dataclass(frozen=True)
class NodePrior:
    """A prior over the nodes of a trie, for a batch on one device.

    Attributes:
        keys: (M,) int64, sorted `row * n_nodes + node` of every node with an item that has a bonus below it.
        bonus: (M,) float32, the highest of these items.
        n_nodes: of the trie.
    """

    keys: Tensor
    bonus: Tensor
    n_nodes: int

    @classmethod
    def of(cls, prior: ItemPrior, rows: NDArray[np.integer], trie: TokenTrie, device: torch.device) -> "NodePrior":
        """The prior of some rows, along the trie."""
        chosen = prior.bonus[rows].tocoo()
        paths = trie.paths(chosen.col)[:, 1:]
        on_path = paths >= 0
        keys = (chosen.row.astype(np.int64)[:, None] * trie.n_nodes + paths)[on_path]
        keys, place = np.unique(keys, return_inverse=True)
        bonus = np.zeros(len(keys), dtype=np.float32)
        np.maximum.at(bonus, place, np.broadcast_to(chosen.data[:, None], paths.shape)[on_path].astype(np.float32))
        return cls(torch.from_numpy(keys).to(device), torch.from_numpy(bonus).to(device), trie.n_nodes)

    def add_to(self, log_probs: Tensor, nodes: Tensor) -> Tensor:
        """What nodes are ranked by.

        Args:
            log_probs: (rows, ...) of the policy; -inf stays -inf (no hope, whatever the prior says).
            nodes: (rows, ...) int64, the nodes that they belong to.
        """
        if not len(self.keys):
            return log_probs
        place, known = find_keys(self.keys, nodes, self.n_nodes)
        return log_probs + torch.where(known, self.bonus[place], 0.0)


def log_total(log_probs: Tensor, ranked: Tensor) -> Tensor:
    """Logarithm of the sum over all items of a row, of which a search has seen some.

    Args:
        log_probs: (rows, seen) of the policy, and
        ranked: (rows, seen) with the bonus; -inf in both for what may not come back.

    Returns:
        (rows, 1).
    """
    others = torch.log1p(-log_probs.exp().sum(dim=1, keepdim=True).clamp(max=1.0))
    return torch.logaddexp(ranked.logsumexp(dim=1, keepdim=True), others)
