"""Grounded chains: a chain cites items of its own history, and no others.

The same idea as for answers (one trie, an illegal item is impossible), applied to citations. Between citations any
text may follow, or the first index token of an item of the history; inside a citation only what continues one of
these items. A chain then cannot cite what the user never had, nor give away an item that the prompt did not hold.
The trainer takes its log-probabilities under the same mask, see `gream.decoding.mask`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gream.decoding.device_trie import DeviceTrie
from gream.decoding.trie import ROOT, TokenTrie

NOTHING = -1


@dataclass(frozen=True)
class Grounding:
    """What the chains of R rows may cite. A row's state is a node of the catalogue's trie, the root between citations.

    Attributes:
        paths: (R, H, depth + 2) int64, the trie nodes from the root to each of a row's H items, then `NOTHING`; rows
            with fewer items are filled up with `NOTHING`.
        index_ids: (I,) int64, every token of the vocabulary that is an index token.
        trie: the catalogue.
    """

    paths: Tensor
    index_ids: Tensor
    trie: DeviceTrie

    @classmethod
    def of(
        cls, trie: TokenTrie, histories: Sequence[Sequence[int]], index_ids: Sequence[int], device: torch.device
    ) -> "Grounding":
        """Ground rows in their histories, given as item numbers (those that the prompt shows; an item may repeat)."""
        citable = [np.unique(np.asarray(history, dtype=np.int64)) for history in histories]
        width = max((len(items) for items in citable), default=0)
        paths = np.full((len(citable), max(width, 1), trie.depth + 2), NOTHING, dtype=np.int64)
        for row, items in enumerate(citable):
            paths[row, : len(items), :-1] = trie.paths(items)
        return cls(
            torch.from_numpy(paths).to(device),
            torch.tensor(index_ids, dtype=torch.long, device=device),
            DeviceTrie.of(trie, device),
        )

    def select(self, rows: Tensor) -> "Grounding":
        """The grounding of some rows; a row may be taken several times."""
        return Grounding(self.paths[rows], self.index_ids, self.trie)

    def legal(self, nodes: Tensor, vocabulary: int) -> Tensor:
        """Which tokens may come next in each row.

        Args:
            nodes: (R,) int64 states.
            vocabulary: V, the width of the logits.

        Returns:
            (R, V) bool.
        """
        children = self._children(nodes)
        # One column more than tokens, where the filler of short histories goes.
        tokens = torch.where(children == NOTHING, vocabulary, self.trie.token[children.clamp(min=ROOT)].long())
        legal = (nodes == ROOT)[:, None].repeat(1, vocabulary + 1)
        legal[:, self.index_ids] = False
        return legal.scatter(1, tokens, True)[:, :vocabulary]

    def advance(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """(R,) states after legal tokens: a node inside a citation, the root after its end and after text."""
        children = self._children(nodes)
        taken = (children != NOTHING) & (self.trie.token[children.clamp(min=ROOT)] == tokens[:, None])
        reached = torch.where(taken, children, ROOT).amax(dim=1)
        return torch.where(self.trie.item_of_node[reached] >= 0, ROOT, reached)

    def _children(self, nodes: Tensor) -> Tensor:
        """(R, H) where each item's path goes on from the row's node; `NOTHING` where it does not pass through it."""
        on_path = self.paths[..., :-1] == nodes[:, None, None]
        return torch.where(on_path, self.paths[..., 1:], NOTHING).amax(dim=-1)
