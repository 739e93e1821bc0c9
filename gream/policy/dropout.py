"""Dropout for a model from scratch, by forward hooks, and its masks drawn fast on CPUs.

Qwen3 has dropout on attention weights only, which is not used: on CPUs it rules out the fused attention. Forward hooks
hold the rest: they are no part of the saved weights, so what is exported is a plain model that every engine loads, and
that later training (SRPO) runs without noise.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 2**16
"""On CPUs a rate is rounded to a whole number of these."""


def add_dropout(model: Any, rate: float) -> None:
    """Dropout on the embeddings and on what each attention and feed-forward block adds to the residual stream."""
    hook = functools.partial(_drop, rate)
    model.get_input_embeddings().register_forward_hook(hook)
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(hook)
        layer.mlp.register_forward_hook(hook)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Entries become 0 with probability `rate`; the others grow, so that the mean stays.

    On a CPU, random numbers are drawn one after the other, one for each entry: a tenth of the time of a small model's
    step. Here one of 64 bits decides over four entries.
    """
    if values.device.type != "cpu":
        return nn.functional.dropout(values, rate)
    numbers = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = numbers.view(torch.int16)[: values.numel()].view(values.shape)
    kept = bits >= round(rate * STEPS) - STEPS // 2
    return values * (kept.to(values.dtype) / (1.0 - rate))


def _drop(rate: float, module: nn.Module, _: Any, output: Any) -> Any:
    if not module.training:
        return output
    if isinstance(output, tuple):  # attention returns its weights beside its output
        return (dropout(output[0], rate), *output[1:])
    return dropout(output, rate)
