"""A second opinion on the next item, mixed into the search.

The policy's distribution over items and the prior's are mixed,

    P(item) = (1 - w) P_policy(item) + w P_prior(item),

so that the scores of all items are still a distribution. The same holds for every prefix of index tokens, whose
probability is the sum over the items below it: the beam ranks prefixes by the mixture, and an item that only the prior
knows is found too. With as many beams as items the search is exact, as without a prior.

A prior made of counts knows what it has seen often, while what it has seen once may be chance. So each score is lowered
by a discount, and what that takes from a row is the policy's: interpolated absolute discounting (Ney, Essen and Kneser,
1994), with the policy as the distribution that is backed off to. Thus w differs from row to row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gream.decoding.keys import find_keys
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError


@dataclass(frozen=True)
class ItemPrior:
    """Attributes:
    distributions: (rows, n_items) sparse, each row summing to 1; an empty row has no opinion.
    weights: (rows,) w, 0 <= w < 1; 0 for a row without an opinion.
    """

    distributions: sparse.csr_matrix
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        wrong = self.weights[~((self.weights >= 0.0) & (self.weights < 1.0))]
        if len(wrong):
            raise RequestError(f"the prior's weight must be at least 0 and below 1 in each row, not {wrong[0]}.")

    @classmethod
    def of(
        cls,
        scores: sparse.csr_matrix,
        weight: float,
        exclude: Sequence[Sequence[int] | NDArray[np.integer]] | None,
        discount: float = 0.0,
    ) -> "ItemPrior":
        """The prior by scores.

        Args:
            scores: (rows, n_items), not negative.
            weight: w of a row from which the discount takes nothing.
            exclude: items that are left out of each row, before anything else.
            discount: what each score is lowered by, to 0 at the least; w shrinks as the sum of its row does.
        """
        scores = scores.copy().astype(np.float64)
        if exclude is not None:
            rows = np.repeat(np.arange(len(exclude)), [len(items) for items in exclude])
            items = np.concatenate([*exclude, np.empty(0)]).astype(np.int64)
            left_out = sparse.csr_matrix((np.ones(len(rows)), (rows, items)), shape=scores.shape)
            scores = scores - scores.multiply(left_out > 0)
        totals = np.asarray(scores.sum(axis=1)).ravel()
        scores.data = np.maximum(scores.data - discount, 0.0)
        scores.eliminate_zeros()
        kept = np.asarray(scores.sum(axis=1)).ravel()
        distributions = sparse.diags(1.0 / np.where(kept > 0, kept, 1.0)) @ scores
        return cls(sparse.csr_matrix(distributions), weight * kept / np.where(totals > 0, totals, 1.0))

    def mix_items(self, row: int, log_probs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_items,) log-probabilities of the mixture from those of the policy, both over all items."""
        weight = self.weights[row]
        prior = np.asarray(self.distributions[[row]].todense()).ravel()
        with np.errstate(divide="ignore"):  # log(0) is -inf, as it should be.
            mixed: NDArray[np.float64] = np.logaddexp(np.log1p(-weight) + log_probs, np.log(weight * prior))
        return mixed


@dataclass(frozen=True)
class NodePrior:
    """A prior over the nodes of a trie, for a batch on one device.

    Attributes:
        keys: (M,) int64, sorted `row * n_nodes + node` of every node with an item that the prior knows below it.
        mass: (M,) float32, the prior's probability of these items together.
        weights: (rows,) float32.
        n_nodes: of the trie.
    """

    keys: Tensor
    mass: Tensor
    weights: Tensor
    n_nodes: int

    @classmethod
    def of(cls, prior: ItemPrior, rows: NDArray[np.integer], trie: TokenTrie, device: torch.device) -> "NodePrior":
        """The prior of some rows, summed up along the trie."""
        chosen = prior.distributions[rows].tocoo()
        paths = trie.paths(chosen.col)[:, 1:]
        on_path = paths >= 0
        keys = (chosen.row.astype(np.int64)[:, None] * trie.n_nodes + paths)[on_path]
        keys, place = np.unique(keys, return_inverse=True)
        mass = np.bincount(place, np.broadcast_to(chosen.data[:, None], paths.shape)[on_path], len(keys))
        return cls(
            torch.from_numpy(keys).to(device),
            torch.from_numpy(mass.astype(np.float32)).to(device),
            torch.from_numpy(prior.weights[rows].astype(np.float32)).to(device),
            trie.n_nodes,
        )

    def mix(self, log_probs: Tensor, nodes: Tensor) -> Tensor:
        """Log-probability of each node in the mixture.

        Args:
            log_probs: (rows, ...) of the policy; -inf stays -inf (no hope, whatever the prior says).
            nodes: (rows, ...) int64, the nodes that they belong to.
        """
        weights = self.weights.view(-1, *[1] * (nodes.dim() - 1))
        mass = torch.zeros_like(log_probs)
        if len(self.keys):
            place, known = find_keys(self.keys, nodes, self.n_nodes)
            mass = torch.where(known, self.mass[place], 0.0)
        mixed = torch.logaddexp(torch.log1p(-weights) + log_probs, (weights * mass).log())
        return mixed.masked_fill(log_probs == -torch.inf, -torch.inf)
