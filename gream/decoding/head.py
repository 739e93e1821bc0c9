"""The last step of a forward pass: from hidden states to the logits that are wanted.

Decoding items, only the tokens of the index are ever legal: a few hundred of a vocabulary that is a large part of a
small model's arithmetic and, at 150,000 tokens, most of a search's memory. Only their rows of the head are multiplied,
and in float32: in bfloat16 a logit of 20 has steps of an eighth, and a quarter of the items that rank side by side
would tie.
"""

from typing import Any

import torch
from torch import Tensor, nn

from gream.decoding.cache import GrowingCache
from gream.decoding.forward import LLAMA_FAMILY, Positions, last_hidden


def next_logits(
    model: Any, span: range | None, fed: Positions, cache: GrowingCache, *, last_only: bool = False
) -> Tensor:
    """Feed tokens to a causal LM, and return next-token logits.

    Args:
        model: of Transformers, or of PEFT around one.
        span: the C token ids that are wanted; None for all V.
        fed: (B, T) tokens.
        cache: keys and values of the positions before; it gets those of the new ones.
        last_only: whether only the last position's are wanted.

    Returns:
        (B, T or 1, C or V).
    """
    wanted = slice(None) if span is None else slice(span.start, span.stop)
    if model.config.model_type not in LLAMA_FAMILY:  # Others scale or cap their logits.
        logits: Tensor = model(**fed.for_library(cache), logits_to_keep=int(last_only)).logits
        return logits[..., wanted]
    hidden = last_hidden(model, fed, cache, last_only=last_only)
    head = model.get_output_embeddings()
    # Adapters change a head behind its weight; what wraps it then is no `Linear`. In pieces (FSDP) it is one, of a
    # subclass, which must not be called (`gream.decoding.forward`).
    if not isinstance(head, nn.Linear):
        whole: Tensor = head(hidden)
        return whole[..., wanted]
    if span is None:  # The weight itself: autocast would cast a slice of it anew at every step.
        return nn.functional.linear(hidden, head.weight, head.bias)
    weight, bias = head.weight[wanted], None if head.bias is None else head.bias[wanted]
    if not torch.is_autocast_enabled(hidden.device.type):  # Under autocast a trainer rounds as it does itself.
        hidden, weight, bias = hidden.float(), weight.float(), None if bias is None else bias.float()
    return nn.functional.linear(hidden, weight, bias)
