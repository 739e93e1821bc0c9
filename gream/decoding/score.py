"""Exact scores of all items: what beam search approximates, and what its tests compare it with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gream.decoding.batching import decoding
from gream.decoding.device_trie import DeviceTrie
from gream.decoding.prefix import Prefix
from gream.decoding.trie import ROOT, TokenTrie

NODES_PER_PASS = 512
"""Inner nodes whose children are scored in one forward pass; bounds memory, does not change the result."""


def score_all(model: Any, prompt: Sequence[int], trie: TokenTrie) -> NDArray[np.float64]:
    """Log-probability of every item after a prompt.

    The prompt is read once. The trie's inner nodes are then fed in slices, each with its ancestors, as trees behind it.

    Returns:
        (n_items,) float64; their exponentials sum to 1.

    Raises:
        RequestError: the prompt is empty.
    """
    tree = DeviceTrie.of(trie, model.device)
    gains = np.zeros(trie.n_nodes)
    with decoding(model):
        prefix = Prefix(model, [list(prompt)], tree.span)
        _write_gains(gains, tree, np.array([ROOT]), prefix.logits[0])
        inner = np.flatnonzero(np.diff(trie.first_child))[1:]
        for start in range(0, len(inner), NODES_PER_PASS):
            wanted = inner[start : start + NODES_PER_PASS]
            nodes, depths, visible = _with_ancestors(trie, wanted)
            logits = prefix.probe(
                *(
                    torch.from_numpy(array[None]).to(model.device)
                    for array in (trie.token[nodes].astype(np.int64), depths, visible)
                )
            )[0]
            _write_gains(gains, tree, wanted, logits[np.searchsorted(nodes, wanted)])
    for first, last in zip(trie.level_start[1:-1], trie.level_start[2:], strict=True):
        level = np.arange(first, last)
        gains[level] += gains[trie.parents(level)]
    return gains[trie.leaf_of_item]


def _write_gains(gains: NDArray[np.float64], trie: DeviceTrie, nodes: NDArray[np.int64], logits: torch.Tensor) -> None:
    """Put the log-probabilities of all children of `nodes` into `gains`, given their (len(nodes), C) logits."""
    children, real = trie.successors(torch.from_numpy(nodes).to(logits.device), max(trie.max_branching))
    values = trie.log_probs(logits.double(), children, real, compact=True)
    gains[children[real].cpu().numpy()] = values[real].cpu().numpy()


def _with_ancestors(
    trie: TokenTrie, nodes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The nodes and all their ancestors below the root, sorted; their depths (0 directly below it); who sees whom."""
    closure, layer = nodes, nodes
    while (layer := np.unique(trie.parents(layer[layer != ROOT]))).size:
        closure = np.union1d(closure, layer)
    closure = closure[closure != ROOT]
    depths = np.searchsorted(trie.level_start, closure, side="right") - 2
    visible = np.eye(len(closure), dtype=bool)
    for depth in range(1, trie.depth):
        rows = np.flatnonzero(depths == depth)
        visible[rows] |= visible[np.searchsorted(closure, trie.parents(closure[rows]))]
    return closure, depths, visible
