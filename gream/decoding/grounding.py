"""Grounded chains: a chain cites items of its own history, and no others.

The same idea as for answers (one trie, an illegal item is impossible), applied to citations. Between citations any
text may follow, but no mark of a turn or an answer, or else the first index token of an item of the history; inside a
citation only what continues one of these items. A chain then cannot cite what the user never had, nor give away an item
that the prompt did not hold.

Whether to cite is left to the model, only *what* it cites is not: between citations, text keeps its probabilities, and
the probability of all index tokens together is divided among the legal ones in proportion to theirs. (Renormalised
over everything that is legal, a model that wants to cite the wrong item would fall silent instead.) The trainer takes
its log-probabilities under the same distribution, see `gream.decoding.mask`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gream.decoding.device_trie import DeviceTrie
from gream.decoding.trie import ROOT, TokenTrie
from gream.errors import RequestError

NOTHING = -1


@dataclass(frozen=True)
class ChainTokens:
    """Tokens of a vocabulary that are no plain text.

    Attributes:
        index_ids: every index token.
        unspoken_ids: what a chain never holds: the marks of turns, of padding, and of an answer.
    """

    index_ids: Sequence[int]
    unspoken_ids: Sequence[int]


@dataclass(frozen=True)
class Grounding:
    """What the chains of R rows may cite. A row's state is a node of the catalogue's trie, the root between citations.

    Attributes:
        paths: (R, H, depth + 2) int64, see `citable_paths`.
        index_ids, unspoken_ids: int64, see `ChainTokens`.
        trie: the catalogue.
    """

    paths: Tensor
    index_ids: Tensor
    unspoken_ids: Tensor
    trie: DeviceTrie

    @classmethod
    def of(
        cls, trie: TokenTrie, histories: Sequence[Sequence[int]], tokens: ChainTokens, device: torch.device
    ) -> "Grounding":
        """Ground rows in their histories, given as item numbers (those that the prompt shows; an item may repeat)."""
        return cls(
            citable_paths(trie, histories, device),
            torch.tensor(tokens.index_ids, dtype=torch.long, device=device),
            torch.tensor(tokens.unspoken_ids, dtype=torch.long, device=device),
            DeviceTrie.of(trie, device),
        )

    def select(self, rows: Tensor) -> "Grounding":
        """The grounding of some rows; a row may be taken several times."""
        return self.over(self.paths[rows])

    def over(self, paths: Tensor) -> "Grounding":
        """The same vocabulary and catalogue, with other paths."""
        return replace(self, paths=paths)

    def log_probs(self, logits: Tensor, nodes: Tensor, temperature: float | Tensor) -> tuple[Tensor, Tensor]:
        """The grounded distribution of the next token in each row.

        Args:
            logits: (R, V).
            nodes: (R,) int64 states.
            temperature: divides the logits; (R, 1) where rows differ in it.

        Returns:
            (R, V) log-probabilities, -inf where a token is illegal; and (R,) the log-probability that a token drawn
            without the grounding would have been a legal one. Both in float32 and differentiable.
        """
        spoken = (logits.float() / temperature).index_fill(1, self.unspoken_ids, -torch.inf)
        free = spoken.log_softmax(-1)
        vocabulary = free.shape[1]
        children = self._children(nodes).sort(dim=1).values
        known = children != NOTHING
        known[:, 1:] &= children[:, 1:] != children[:, :-1]  # Items that begin alike go on through one child.
        tokens = self.trie.token[children.clamp(min=ROOT)].long()
        cited = free.gather(1, tokens).masked_fill(~known, torch.finfo(free.dtype).min)
        mass = cited.logsumexp(dim=1)

        between = nodes == ROOT
        citing = free[:, self.index_ids].logsumexp(dim=1)
        cited = cited - mass[:, None] + torch.where(between, citing, 0.0)[:, None]
        text = free.index_fill(1, self.index_ids, -torch.inf).masked_fill(~between[:, None], -torch.inf)
        unable = between & ~known.any(dim=1)  # An empty history: text is all that is left.
        text[unable] = text[unable].log_softmax(-1)

        # One column more than tokens takes what fills up short histories.
        room = torch.nn.functional.pad(text, (0, 1), value=-torch.inf)
        grounded = room.scatter(1, tokens.masked_fill(~known, vocabulary), cited.masked_fill(~known, -torch.inf))
        silent = torch.log1p(-citing.exp().clamp(max=1.0 - 1e-6))
        return grounded[:, :vocabulary], torch.where(between, torch.logaddexp(silent, mass), mass)

    def advance(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """(R,) states after legal tokens: a node inside a citation, the root after its end and after text."""
        reached = self._reached(nodes, tokens)
        return torch.where(self.trie.item_of_node[reached] >= 0, ROOT, reached)

    def states(self, chains: Sequence[Sequence[int]]) -> list[list[int]]:
        """The states at which the tokens of whole chains were chosen, whoever chose them.

        Args:
            chains: tokens of R chains, without a stop token that was forced.

        Raises:
            RequestError: a chain has a token that is illegal where it stands.
        """
        device = self.paths.device
        lengths = torch.tensor([len(chain) for chain in chains], device=device)
        rows = [torch.tensor(chain, dtype=torch.long, device=device) for chain in chains]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=NOTHING)
        text = ~torch.isin(tokens, torch.cat([self.index_ids, self.unspoken_ids]))
        nodes = torch.full_like(lengths, ROOT)
        visited = []
        for step, chosen in enumerate(tokens.T):
            legal = (self._reached(nodes, chosen) != ROOT) | ((nodes == ROOT) & text[:, step])
            if (~legal & (step < lengths)).any():
                raise RequestError(f"a chain's token {step} is none that its grounding allows: nobody applied it.")
            visited.append(nodes)
            nodes = self.advance(nodes, chosen)
        together = torch.stack(visited, dim=1).tolist() if visited else [[] for _ in chains]
        return [states[: len(chain)] for states, chain in zip(together, chains, strict=True)]

    def _reached(self, nodes: Tensor, tokens: Tensor) -> Tensor:
        """(R,) where tokens lead within a citation, or into one; the root where they are none of it."""
        children = self._children(nodes)
        taken = (children != NOTHING) & (self.trie.token[children.clamp(min=ROOT)] == tokens[:, None])
        return torch.where(taken, children, ROOT).amax(dim=1)

    def _children(self, nodes: Tensor) -> Tensor:
        """(R, H) where each item's path goes on from the row's node; `NOTHING` where it does not pass through it."""
        on_path = self.paths[..., :-1] == nodes[:, None, None]
        return torch.where(on_path, self.paths[..., 1:], NOTHING).amax(dim=-1)


def citable_paths(trie: TokenTrie, histories: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Where chains may go: (R, H, depth + 2) int64, the trie nodes from the root to each of a row's H items.

    A path ends with `NOTHING`.

    Args:
        trie: the catalogue.
        histories: item numbers for each row; an item may repeat. Rows with fewer items than H are filled up with
            `NOTHING`.
        device: where the paths go.
    """
    citable = [np.unique(np.asarray(history, dtype=np.int64)) for history in histories]
    width = max((len(items) for items in citable), default=0)
    paths = np.full((len(citable), max(width, 1), trie.depth + 2), NOTHING, dtype=np.int64)
    for row, items in enumerate(citable):
        paths[row, : len(items), :-1] = trie.paths(items)
    return torch.from_numpy(paths).to(device)
