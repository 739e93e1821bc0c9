"""Nodes that a search may not enter: no item is left below them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gream.decoding.item_filter import ItemFilter
from gream.decoding.keys import contains_keys
from gream.decoding.trie import TokenTrie


@dataclass(frozen=True)
class DeadNodes:
    """Those of a batch, on one device: a row's own, and what a filter that it may share with others leaves out.

    Attributes:
        keys: (M,) int64, sorted `row * n_nodes + node`, see `TokenTrie.dead_keys`.
        filtered: rows (R,) int64, and (n_nodes,) bool which nodes are dead in them.
        n_nodes: of the trie.
    """

    keys: Tensor
    filtered: tuple[tuple[Tensor, Tensor], ...]
    n_nodes: int

    @classmethod
    def of(
        cls,
        trie: TokenTrie,
        exclude: Sequence[Sequence[int] | NDArray[np.integer]],
        filters: Sequence[ItemFilter | None],
        device: torch.device,
    ) -> "DeadNodes":
        """What is dead for rows that exclude items, or filter them, or both.

        Args:
            trie: the catalogue.
            exclude: item numbers, for each row; empty where no row has any.
            filters: for each row; empty where no row has one.
            device: of the search.

        Raises:
            RequestError: an item number is outside the catalogue.
        """
        keys = trie.dead_keys(exclude, [one.open_children if one is not None else None for one in filters])
        rows: dict[ItemFilter, list[int]] = {}
        for row, one in enumerate(filters):
            if one is not None:
                rows.setdefault(one, []).append(row)
        return cls(
            keys=torch.from_numpy(keys).to(device),
            filtered=tuple((torch.tensor(those, device=device), one.dead(device)) for one, those in rows.items()),
            n_nodes=trie.n_nodes,
        )

    def hold_back(self, gains: Tensor, nodes: Tensor) -> Tensor:
        """The (B, ...) gains of going to nodes, with -inf where they are dead."""
        if not len(self.keys) and not self.filtered:
            return gains
        dead = contains_keys(self.keys, nodes, self.n_nodes)
        for rows, closed in self.filtered:
            dead[rows] |= closed[nodes[rows]]
        return gains.masked_fill(dead, -torch.inf)
