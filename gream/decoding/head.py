"""The last step of a forward pass: from hidden states to the logits that are wanted.

Decoding items, only the tokens of the index are ever legal: a few hundred of a vocabulary that is a large part of a
small model's arithmetic and, at 150,000 tokens, most of a search's memory. Only their rows of the head are multiplied.
"""

from typing import Any, Final

from torch import Tensor, nn

BARE_HEADS: Final = {"llama", "mistral", "qwen2", "qwen3"}
"""Architectures (`model_type`) whose logits are the head's product and nothing else; others scale or cap them."""


def next_logits(model: Any, span: range | None, *, last_only: bool = False, **inputs: Any) -> Tensor:
    """Run a causal LM, and return next-token logits.

    Args:
        model: of Transformers, or of PEFT around one.
        span: the C token ids that are wanted; None for all V.
        last_only: whether only the last position's are.
        inputs: of the forward pass, with (B, T) positions.

    Returns:
        (B, T or 1, C or V).
    """
    wanted = slice(None) if span is None else slice(span.start, span.stop)
    head = model.get_output_embeddings()
    # Adapters change a head behind its weight, and make it another class.
    if span is None or model.config.model_type not in BARE_HEADS or type(head) is not nn.Linear:
        logits: Tensor = model(**inputs, logits_to_keep=int(last_only)).logits
        return logits[..., wanted]
    hidden = model.get_decoder()(**inputs).last_hidden_state
    bias = None if head.bias is None else head.bias[wanted]
    return nn.functional.linear(hidden[:, -1:] if last_only else hidden, head.weight[wanted], bias)
