"""Sampling from given uniform numbers by inversion.

Each draw has its own number, fixed before decoding starts. What a row samples then does not depend on which batch it
sits in, nor on when its neighbours finish.
"""

import torch
from torch import Tensor

SHORT_LIST = 64
"""A trained model's nucleus is nearly always within its best 64 tokens, found without sorting the vocabulary."""


def draw(probabilities: Tensor, uniforms: Tensor, top_p: float = 1.0) -> Tensor:
    """One index for each row.

    Args:
        probabilities: (..., C), summing to 1 over the last axis.
        uniforms: (...) in [0, 1).
        top_p: keep the smallest set of the most probable entries whose mass reaches it (nucleus sampling).

    Returns:
        (...) int64 indices, never one with probability 0.
    """
    if top_p >= 1.0:
        return _invert(probabilities, uniforms)
    ordered, index = probabilities.topk(min(SHORT_LIST, probabilities.shape[-1]), dim=-1)
    if (ordered.sum(-1) < top_p).any():
        ordered, index = probabilities.sort(dim=-1, descending=True, stable=True)
    mass_before = ordered.cumsum(-1) - ordered
    nucleus = ordered.masked_fill(mass_before >= top_p, 0.0)
    return index.gather(-1, _invert(nucleus, uniforms)[..., None])[..., 0]


def _invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """The first index at which the running sum exceeds u times the total."""
    sums = weights.cumsum(-1)
    total = sums[..., -1]
    # Rounding must not lift the target to the total itself, which no running sum exceeds.
    target = torch.minimum(uniforms.to(total.dtype) * total, total.nextafter(torch.zeros_like(total)))
    place = torch.searchsorted(sums, target[..., None], right=True)
    # On a GPU each running sum is added up in an order of its own, and may rise by rounding where nothing is added.
    possible = weights.gather(-1, place) > 0.0
    if not possible.all():
        place = torch.where(possible, place, weights.argmax(dim=-1, keepdim=True))
    return place[..., 0]
