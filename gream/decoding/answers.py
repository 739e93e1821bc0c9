"""Sampled answers: one legal item at a time, token by token through the trie (SRPO's rollouts)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gream.decoding.batching import budget_of, decoding, length_batches
from gream.decoding.beam import Excluded
from gream.decoding.device_trie import DeviceTrie
from gream.decoding.draw import draw
from gream.decoding.keys import contains_keys
from gream.decoding.prefix import Prefix
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError


@dataclass(frozen=True)
class Answer:
    """One sampled item.

    Attributes:
        item: item number.
        tokens: its token ids.
        nodes: for each token the trie node at which it was chosen; the trainer masks its logits by them.
        log_probs: of each token among the legal ones at the sampling temperature.
    """

    item: int
    tokens: list[int]
    nodes: list[int]
    log_probs: list[float]


def sample_answers(
    model: Any,
    prefixes: Sequence[Sequence[int]],
    trie: TokenTrie,
    uniforms: Tensor,
    temperature: float = 1.0,
    top_p: float = 1.0,
    exclude: Excluded | None = None,
    token_budget: int = 0,
    progress: str = "",
) -> list[list[Answer]]:
    """Sample G items after each of P prefixes, each prefix being read once.

    Args:
        model: a Hugging Face causal LM.
        prefixes: P lists of token ids up to the place where an item begins.
        trie: the catalogue.
        uniforms: (P, G, trie.depth) numbers in [0, 1), see `sample_chains`.
        temperature: divides the logits.
        top_p: keep the smallest set of the most probable legal tokens whose mass reaches it, at each of the item's
            tokens; `log_probs` are those of before the cut.
        exclude: items that must not be sampled, for each prefix; the others' probabilities grow accordingly, token by
            token, and `log_probs` are those of what was left.
        token_budget: see `length_batches`; 0 is what suits the model's device.
        progress: see `length_batches`.

    Returns:
        For each prefix its G answers.

    Raises:
        RequestError: a prefix is empty, `uniforms` or `exclude` does not fit, or a row excludes every item.
    """
    expected = (len(prefixes), uniforms.shape[1] if uniforms.dim() == 3 else -1, trie.depth)
    if tuple(uniforms.shape) != expected:
        raise RequestError(
            f"uniforms must have the shape (prefixes, samples, trie.depth) = ({len(prefixes)}, >= 1, {trie.depth}), "
            f"not {tuple(uniforms.shape)}."
        )
    if exclude is not None and len(exclude) != len(prefixes):
        raise RequestError(f"exclude must have one entry for each of the {len(prefixes)} rows, not {len(exclude)}.")
    answers: list[list[Answer]] = [[] for _ in prefixes]
    tree = DeviceTrie.of(trie, model.device)
    with decoding(model):
        for rows in length_batches(
            prefixes, token_budget or budget_of(model), extra=uniforms.shape[1] * (trie.depth - 1), progress=progress
        ):
            excluded = [exclude[row] for row in rows] if exclude is not None else []
            for row, items in zip(rows, excluded, strict=False):
                if len(np.unique(items)) >= trie.n_items:
                    raise RequestError(f"row {row} excludes all {trie.n_items} items: nothing is left to answer.")
            dead = torch.from_numpy(trie.dead_keys(excluded)).to(model.device)
            prefix = Prefix(model, [prefixes[row] for row in rows], tree.span)
            numbers = uniforms[torch.from_numpy(rows)].to(model.device)
            batch = _sample(prefix, tree, numbers, temperature, top_p, dead)
            for row, row_answers in zip(rows, batch, strict=True):
                answers[row] = row_answers
    return answers


def _sample(
    prefix: Prefix, trie: DeviceTrie, uniforms: Tensor, temperature: float, top_p: float, dead: Tensor
) -> list[list[Answer]]:
    rows, samples, depth = uniforms.shape
    nodes = torch.zeros((rows, samples), dtype=torch.long, device=uniforms.device)
    parents = torch.zeros_like(nodes)
    visited, gains = [nodes], []
    for level, width in enumerate(trie.max_branching):
        children, real = trie.successors(nodes, width)
        real = real & ~contains_keys(dead, children, len(trie.token))
        distribution = trie.log_probs(prefix.logits.expand(-1, samples, -1), children, real, temperature, compact=True)
        chosen = draw(distribution.exp(), uniforms[..., level], top_p)[..., None]
        nodes = children.gather(-1, chosen)[..., 0]
        visited.append(nodes)
        gains.append(distribution.gather(-1, chosen)[..., 0])
        if level < depth - 1:
            prefix.grow(trie.token[nodes].long(), parents)
            parents = torch.arange(samples, device=nodes.device).expand(rows, -1)
    paths = torch.stack(visited, dim=-1)
    tokens = trie.token[paths]
    items = trie.item_of_node[nodes]
    # A leaf above the last level is its own successor from there on: its path stops moving.
    lengths = (paths[..., 1:] != paths[..., :-1]).sum(-1)
    packed = zip(
        *(array.flatten(0, 1).tolist() for array in (paths, tokens, torch.stack(gains, dim=-1))),
        items.flatten().tolist(),
        lengths.flatten().tolist(),
        strict=True,
    )
    flat = [Answer(item, token[1 : n + 1], path[:n], gain[:n]) for path, token, gain, item, n in packed]
    return [flat[row * samples : (row + 1) * samples] for row in range(rows)]
