"""Trie-constrained beam search over items (DESIGN.md, principles 1 and 2).

An item's score is the sum of the log-probabilities of its tokens, each renormalised over the tokens that are legal at
its node. The scores of all items are therefore a distribution, and with as many beams as items the search is exact.
Everything is vectorised over rows, beams and children. The last token of an item is never fed back to the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gream.decoding.batching import budget_of, decoding, length_batches
from gream.decoding.dead_nodes import DeadNodes
from gream.decoding.device_trie import DeviceTrie
from gream.decoding.item_filter import ItemFilter
from gream.decoding.prefix import Prefix
from gream.decoding.prior import ItemPrior, NodePrior
from gream.decoding.trie import TokenTrie
from gream.decoding.trie_beam import TrieBeam
from gream.errors import RequestError

Excluded = Sequence[Sequence[int] | NDArray[np.integer]]
"""For each row, the item numbers that must not come back."""


@dataclass(frozen=True)
class Ranking:
    """The best items of each row, best first; equal scores in order of item number.

    Attributes:
        items: (B, k) int64 item numbers, -1 where a row has fewer allowed items.
        scores: (B, k) float32 log-probabilities, -inf there.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float32]


def beam_search(
    model: Any,
    prompts: Sequence[Sequence[int]],
    trie: TokenTrie,
    k: int,
    beams: int = 0,
    exclude: Excluded | None = None,
    prior: ItemPrior | None = None,
    token_budget: int = 0,
    progress: str = "",
    filters: Sequence[ItemFilter | None] = (),
) -> Ranking:
    """The k most probable items after each prompt.

    Args:
        model: a Hugging Face causal LM.
        prompts: token ids up to the place where an item begins, one list for each row.
        trie: the catalogue.
        k: items to return for each row.
        beams: width of the search; at least k are used. As many as items makes it exact.
        exclude: items to leave out, for each row. They are removed inside the search, so that min(k, allowed items)
            always come back. Scores of the others do not change, because nothing is renormalised for it, but for the
            bonus of a prior, which is shared out among those that are left.
        prior: a row for each prompt; items are then ranked and scored by the policy and the prior together.
        token_budget: see `length_batches`; 0 is what suits the model's device.
        progress: see `length_batches`.
        filters: of each row, where any has one; what they leave out is as if it were excluded.

    Raises:
        RequestError: `k` is below 1, a prompt is empty, or `exclude`, `filters` or `prior` does not fit the prompts or
            the catalogue.
    """
    if k < 1:
        raise RequestError(f"k must be at least 1, not {k}.")
    if exclude is not None and len(exclude) != len(prompts):
        raise RequestError(f"exclude must have one entry for each of the {len(prompts)} rows, not {len(exclude)}.")
    if filters and len(filters) != len(prompts):
        raise RequestError(f"filters must have one entry for each of the {len(prompts)} rows, not {len(filters)}.")
    if prior is not None and prior.bonus.shape != (len(prompts), trie.n_items):
        raise RequestError(
            f"prior must have the shape (prompts, items) = ({len(prompts)}, {trie.n_items}), not {prior.bonus.shape}."
        )
    items = np.full((len(prompts), k), -1, dtype=np.int64)
    scores = np.full((len(prompts), k), -np.inf, dtype=np.float32)
    device = model.device  # Once: it is looked up among all parameters.
    tree = DeviceTrie.of(trie, device)
    with decoding(model), torch.inference_mode():  # Which numbers alone leave: it checks less.
        for rows in length_batches(
            prompts, token_budget or budget_of(model), extra=max(k, beams) * (trie.depth - 1), progress=progress
        ):
            excluded = [exclude[row] for row in rows] if exclude is not None else []
            dead = DeadNodes.of(trie, excluded, [filters[row] for row in rows] if filters else [], device)
            opinion = NodePrior.of(prior, rows, trie, device) if prior is not None else None
            beam = TrieBeam(tree, len(rows), k, max(k, beams), dead, opinion)
            best, values = _search(Prefix(model, [prompts[row] for row in rows], tree.span), beam)
            items[rows, : best.shape[1]] = best.cpu().numpy()
            scores[rows, : best.shape[1]] = values.cpu().numpy()
    return Ranking(items, scores)


def _search(prefix: Prefix, beam: TrieBeam) -> tuple[Tensor, Tensor]:
    """(B, <= k) items and scores."""
    parents = beam.descend(beam.trie.log_probs(prefix.logits, beam.children, beam.real, compact=True))
    while not beam.last:
        prefix.grow(beam.trie.token[beam.nodes].long(), parents)
        parents = beam.descend(beam.trie.log_probs(prefix.logits, beam.children, beam.real, compact=True))
    if not beam.complete:
        beam.descend(_last_gains(prefix, beam, parents))
    return beam.ranking()


def _last_gains(prefix: Prefix, beam: TrieBeam, parents: Tensor) -> Tensor:
    """(B, W, M) what the children of the last level are worth: most beams have one, and the model is not asked.

    Nothing follows these beams, so the others are fed alone, first in their rows.
    """
    gains = torch.zeros_like(beam.real, dtype=torch.float32).masked_fill(~beam.real, -torch.inf)
    open_ = beam.choices
    width = int(open_.sum(dim=1).max())
    if width:
        first = open_.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
        prefix.grow(beam.trie.token[beam.nodes.gather(1, first)].long(), parents.gather(1, first))
        place = first[..., None].expand(-1, -1, gains.shape[-1])
        children, real = beam.children.gather(1, place), beam.real.gather(1, place)
        gains.scatter_(1, place, beam.trie.log_probs(prefix.logits, children, real, compact=True))
    return gains
