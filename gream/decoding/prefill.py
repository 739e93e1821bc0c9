"""Reading prompts: the forward pass that all decoding begins with."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gream.decoding.batching import left_pad
from gream.decoding.cache import growing_cache
from gream.decoding.head import next_logits


@dataclass(frozen=True)
class ReadPrompts:
    """B prompts that a model has read.

    Attributes:
        logits: (B, 1, V) next-token logits after each prompt, or (B, 1, C) those of the tokens that were asked for.
        mask: (B, L) bool, false where a shorter prompt was padded on its left.
        cache: keys and values of the L positions.
    """

    logits: Tensor
    mask: Tensor
    cache: Any


def read_prompts(model: Any, prompts: Sequence[Sequence[int]], span: range | None = None) -> ReadPrompts:
    """Read a batch of prompts, each of at least one token.

    Args:
        model: a Hugging Face causal LM.
        prompts: token ids.
        span: the C token ids whose logits are wanted; None for all.
    """
    tokens, mask = left_pad(prompts, model.device)
    cache = growing_cache()
    with _last_mlp_at_the_end(model):
        logits = next_logits(
            model,
            span,
            last_only=True,
            input_ids=tokens,
            attention_mask=mask.long(),
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
        )
    return ReadPrompts(logits, mask, cache)


@contextmanager
def _last_mlp_at_the_end(model: Any) -> Iterator[None]:
    """Of the last layer's MLP, compute the last position only.

    The cache holds what comes before it, and the logits are wanted at the last position alone: elsewhere nobody reads
    what it makes. Its single position is added to all of the layer's by broadcasting, rightly where it counts. In a
    model of two layers that is a third of a prompt's matrix products. Other threads that run the model are let be.
    """
    reader = threading.get_ident()

    def cut(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (inputs[0][:, -1:], *inputs[1:]) if threading.get_ident() == reader else None

    hook = model.get_decoder().layers[-1].mlp.register_forward_pre_hook(cut)
    try:
        yield
    finally:
        hook.remove()
