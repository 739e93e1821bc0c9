"""Ragged prompts: batches of similar length under a token budget, and left padding."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from gream.errors import RequestError

TOKEN_BUDGET = 32_768
"""Tokens (padding included) that one forward pass of decoding may hold by default."""
GPU_CACHE = 2**32
"""Bytes of keys and values that it may fill on a GPU: a step of a small model there takes as long for a hundred rows as
for a thousand."""
MOST_TOKENS = 2**18
"""At which it ends: beams and their children take memory too."""

ENGINE_ROWS = 256
"""Sequences that a vLLM beside the trainer lets grow at a time; each takes some rows of the vocabulary's width."""
ENGINE_TOKENS = 65_536
"""Tokens of all of them whose keys and values it holds, none of them padding."""
GPU_CHOICES = 1_024
"""Legal tokens that a request may name to vLLM on a GPU; on CPUs there is no limit."""
CPU_BLOCK = 32
"""Tokens of a vLLM's key-value block on CPUs; its own 128 are more than most prompts have: none would be cached."""


def budget_of(model: Any) -> int:
    """Tokens that one forward pass of decoding with a causal LM may hold, on the device where it is."""
    if model.device.type == "cpu":
        return TOKEN_BUDGET
    return gpu_budget(cache_bytes_per_token(model.config, model.dtype))


def gpu_budget(bytes_per_token: int) -> int:
    """The same on a GPU, by the bytes of a token's keys and values: never fewer than on a CPU.

    >>> gpu_budget(144 * 2**10), gpu_budget(45 * 2**10), gpu_budget(3 * 2**10)
    (32768, 93206, 262144)
    """
    return min(max(TOKEN_BUDGET, GPU_CACHE // bytes_per_token), MOST_TOKENS)


def cache_bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Keys and values of one token in all layers of a causal LM."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    numbers = 2 * config.num_hidden_layers * getattr(config, "num_key_value_heads", heads) * width
    return int(numbers * dtype.itemsize)


def length_batches(
    prompts: Sequence[Sequence[int]], budget: int, extra: int = 0, copies: int = 1, progress: str = ""
) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches of similar length, longest first, so that memory is tried at its worst at once.

    Args:
        prompts: token ids, at least one in each.
        budget: upper bound for rows x longest row of a batch; a single prompt may exceed it.
        extra: tokens that each row will grow by.
        copies: rows that each prompt will become.
        progress: what a progress bar over the prompts is called; none is shown where it is empty.

    Raises:
        RequestError: a prompt is empty.
    """
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    if not lengths.all():
        raise RequestError(f"prompt number {int(np.argmin(lengths))} is empty: it needs at least one token.")
    order = np.argsort(-lengths, kind="stable")
    with tqdm(total=len(order), desc=progress, disable=not progress, unit="prompt") as bar:
        start = 0
        while start < len(order):
            width = (int(lengths[order[start]]) + extra) * copies
            batch = order[start : start + max(1, budget // width)]
            yield batch
            start += len(batch)
            bar.update(len(batch))


def left_pad(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ragged prompts as (B, L) int64 token ids and (B, L) bool mask, padded on the left (with id 0, masked out)."""
    width = max(len(prompt) for prompt in prompts)
    tokens = np.zeros((len(prompts), width), dtype=np.int64)
    mask = np.zeros((len(prompts), width), dtype=bool)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = prompt
        mask[row, width - len(prompt) :] = True
    return torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device)


@contextmanager
def decoding(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, as it was before afterwards.

    Not `inference_mode`: what is sampled here becomes an index in the trainer's backward pass.
    """
    training = model.training
    if training:  # Setting the mode visits every module: a twentieth of the search after one prompt.
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            model.train()
