"""The number type of weights while they are trained: float32, whatever a policy is kept in.

AdamW moves a weight by about the learning rate. In bfloat16 a number has eight significant bits, and what is less than
half of the last one is lost: between 1/512 and 1/256 of the weight. At SRPO's 2e-6 every weight above 0.001 would stay
where it is, step after step. Arithmetic is another matter, and stays in `sft.precision` or `srpo.precision`.
"""

from typing import Any

import torch


def widen(model: Any) -> None:
    """Make the weights that are trained float32; those that adapters leave frozen keep their type.

    In pieces (FSDP) accelerate would do the same to a model that is trained in bf16.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def narrow(model: Any, dtype: torch.dtype) -> None:
    """Round all weights to the type that a policy is kept in, after its training.

    Buffers stay: rotary frequencies are float32 in a model of either type.
    """
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
