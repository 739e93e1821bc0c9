"""Nodes of a trie, each in some row of a batch, as one sorted list of numbers: `row * n_nodes + node`."""

import torch
from torch import Tensor


def find_keys(keys: Tensor, nodes: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """Where the (B, ...) nodes stand among sorted keys.

    Args:
        keys: (M,) int64, M >= 1.
        nodes: (B, ...) int64, the first dimension being the row.
        n_nodes: of the trie.

    Returns:
        (B, ...) places in `keys`, and whether the node is there at all.
    """
    row = torch.arange(len(nodes), device=nodes.device).view(-1, *[1] * (nodes.dim() - 1))
    wanted = row * n_nodes + nodes
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return place, keys[place] == wanted


def contains_keys(keys: Tensor, nodes: Tensor, n_nodes: int) -> Tensor:
    """Which of the (B, ...) nodes are among sorted keys, (M,), of which there may be none."""
    if not len(keys):
        return torch.zeros_like(nodes, dtype=torch.bool)
    return find_keys(keys, nodes, n_nodes)[1]
