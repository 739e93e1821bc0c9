"""The token trie in torch: successors of many nodes at once, and log-probabilities over exactly the legal tokens."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from gream.decoding.trie import ROOT, TokenTrie


@dataclass(frozen=True)
class DeviceTrie:
    """`TokenTrie` as int32 tensors on one device; the attributes have the same meaning."""

    span: range
    token: Tensor
    first_child: Tensor
    item_of_node: Tensor
    max_branching: tuple[int, ...]

    @cached_property
    def of_root(self) -> tuple[Tensor, Tensor]:
        """The `successors` of the root, (M,) each: every search begins with them."""
        return self.successors(torch.tensor(ROOT, device=self.token.device), self.max_branching[0])

    @classmethod
    def of(cls, trie: TokenTrie, device: torch.device) -> "DeviceTrie":
        """A trie on a device: copied there once for as long as it lives (on the CPU its arrays are shared)."""
        held = _HELD.setdefault(trie, {})
        if device not in held:
            held[device] = cls(
                span=trie.span,
                token=torch.from_numpy(trie.token).to(device),
                first_child=torch.from_numpy(trie.first_child).to(device),
                item_of_node=torch.from_numpy(trie.item_of_node).to(device),
                max_branching=trie.max_branching,
            )
        return held[device]

    def successors(self, nodes: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """The children of each node, padded to `width`; a leaf's only successor is itself.

        The cost depends on `width` alone, not on the size of the catalogue.

        Args:
            nodes: (...) int64.
            width: at least the largest number of children among `nodes`.

        Returns:
            (..., width) int64 nodes, with the root as padding, and (..., width) bool, true where they are real.
        """
        first = self.first_child[nodes].long()
        count = self.first_child[nodes + 1].long() - first
        leaf = count == 0
        first, count = torch.where(leaf, nodes, first), count + leaf
        offsets = torch.arange(width, device=nodes.device)
        real = offsets < count[..., None]
        return (first[..., None] + offsets) * real, real

    def log_probs(
        self, logits: Tensor, successors: Tensor, real: Tensor, temperature: float = 1.0, compact: bool = False
    ) -> Tensor:
        """Log-probability of each successor among the real ones: the softmax over the legal tokens only.

        A leaf's successor (itself) gets 0: an item that is complete keeps its score.

        Args:
            logits: (..., V) next-token logits at each node, or (..., C) those of `span`.
            successors: (..., M) nodes, from `successors`.
            real: (..., M) which of them are considered.
            temperature: divides the logits.
            compact: whether the logits are those of `span`.

        Returns:
            (..., M) float32 (float64 from float64 logits), -inf at padding.
        """
        tokens = self.token[successors].long()
        # Padding is the root, whose token means nothing.
        legal = logits.gather(-1, (tokens - self.span.start).clamp(min=0) if compact else tokens)
        legal = legal.to(torch.promote_types(legal.dtype, torch.float32)) / temperature
        return legal.masked_fill(~real, -torch.inf).log_softmax(-1)


_HELD: Final[WeakKeyDictionary[TokenTrie, dict[torch.device, DeviceTrie]]] = WeakKeyDictionary()
"""Each trie's copies. Every search asks for one, and to copy a million items takes a GPU half as long as a search."""
