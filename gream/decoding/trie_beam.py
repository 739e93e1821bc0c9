"""Beams on their way down the token trie, whoever runs the model (Transformers here, vLLM in serving)."""

import torch
from torch import Tensor

from gream.decoding.dead_nodes import DeadNodes
from gream.decoding.device_trie import DeviceTrie
from gream.decoding.prior import NodePrior, log_total
from gream.decoding.trie import ROOT


class TrieBeam:
    """The beams of a batch: one step for each level of the trie, given what the next tokens are worth.

    A beam without hope (dead, or padding) carries -inf and never comes back to life.

    Attributes:
        trie: the catalogue.
        nodes: (B, W) int64, where the beams stand; at first the root alone.
        scores: (B, W) float32, the policy's log-probability of each beam, -inf for one without hope.
        children: (B, W, M) int64 and
        real: (B, W, M) bool, where each beam may go, see `DeviceTrie.successors`.
        complete: whether every beam stands at an item.
    """

    def __init__(
        self, trie: DeviceTrie, rows: int, k: int, beams: int, dead: DeadNodes, prior: NodePrior | None = None
    ) -> None:
        """Args:
        trie: the catalogue.
        rows: B.
        k: beams that are kept at the last level, and
        beams: at each one above it.
        dead: nodes that no beam may enter.
        prior: what beams are ranked and scored by beside the policy.
        """
        self.trie = trie
        self._k = k
        self._beams = beams
        self._dead = dead
        self._prior = prior
        self._level = 0
        device = trie.token.device
        self.nodes = torch.full((rows, 1), ROOT, dtype=torch.long, device=device)
        self.scores = torch.zeros((rows, 1), device=device)
        self._ranked = self.scores
        self.children, self.real = (one.expand(rows, 1, -1) for one in trie.of_root)

    @property
    def complete(self) -> bool:
        """Whether every beam stands at an item."""
        return self._level == len(self.trie.max_branching)

    @property
    def last(self) -> bool:
        """Whether no step, or one, is left to go."""
        return self._level >= len(self.trie.max_branching) - 1

    @property
    def choices(self) -> Tensor:
        """(B, W) bool, whether a beam with hope has more than one child; only then the model need be asked."""
        return (self.real.sum(dim=-1) > 1) & (self.scores > -torch.inf)

    def descend(self, gains: Tensor) -> Tensor:
        """Go one level down, to the best children of all beams of a row; equal ones in the order of their numbers.

        Args:
            gains: (B, W, M) the policy's log-probability of each child after its beam, -inf where none is `real`.

        Returns:
            (B, W') the place of the beam that each new one continues.
        """
        last = self._level == len(self.trie.max_branching) - 1
        width = self.children.shape[-1]
        candidates = (self.scores[..., None] + self._dead.hold_back(gains, self.children)).flatten(1)
        children = self.children.flatten(1)
        ranked = candidates if self._prior is None else self._prior.add_to(candidates, children)
        names = self.trie.item_of_node[children] if last else children
        chosen = _best(ranked, names, min(self._k if last else self._beams, ranked.shape[1]))
        self.nodes, self.scores = children.gather(1, chosen), candidates.gather(1, chosen)
        self._ranked = ranked.gather(1, chosen)
        if last and self._prior is not None:
            self._ranked = self._ranked - log_total(candidates, ranked)
        self._level += 1
        if not last:
            self.children, self.real = self.trie.successors(self.nodes, self.trie.max_branching[self._level])
        return chosen // width

    def ranking(self) -> tuple[Tensor, Tensor]:
        """(B, <= k) item numbers, best first, -1 where there are fewer; and their scores."""
        items = self.trie.item_of_node[self.nodes].long()
        return items.masked_fill(self.scores == -torch.inf, -1), self._ranked


def _best(scores: Tensor, names: Tensor, k: int) -> Tensor:
    """(B, k) places of the highest scores in order, the lower name first among equals.

    `topk` leaves the order of equals open, so it is given integers without equals: the float's bits, made monotone,
    above the name's.
    """
    bits = (scores.float() + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    monotone = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    return ((monotone << 32) - names).topk(k, dim=1).indices
