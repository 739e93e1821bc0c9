"""Prompts that were read once, and trees of candidate continuations behind them.

Beams are not rows of the batch with copies of the prompt's key-value cache: they are further positions of the same
row, and the attention mask shows each of them the prompt and its own ancestors only (tree attention). The prompt is
held once for any number of beams, nothing is reordered when beams change places, and abandoned keys are masked.
This needs an attention that takes a mask: `attn_implementation="sdpa"` or `"eager"`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gream.decoding.forward import Positions
from gream.decoding.head import next_logits
from gream.decoding.prefill import read_prompts


class Prefix:
    """A batch of B prompts in the key-value cache of a causal LM, and the last layer of the tree behind each.

    Attributes:
        logits: (B, W, C) next-token logits of the newest layer, of the tokens in `span`; at first (B, 1, C),
            those of the prompts' last tokens.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], span: range) -> None:
        read = read_prompts(model, prompts, span)
        self._model = model
        self._span = span
        self._dtype = model.dtype
        self._prompt_mask, self._cache = read.mask, read.cache
        self._lengths = self._prompt_mask.sum(dim=1)
        self._visible = torch.zeros((len(prompts), 1, 0), dtype=torch.bool, device=read.mask.device)
        self._depth = 0
        self.logits: Tensor = read.logits

    def grow(self, tokens: Tensor, parents: Tensor) -> None:
        """Append one layer: each new position continues one of the layer before. `logits` are then the new layer's.

        Args:
            tokens: (B, W) token ids.
            parents: (B, W) positions in the layer before (all 0 for the first layer).
        """
        rows, width = tokens.shape
        lineage = self._visible.gather(1, parents[..., None].expand(-1, -1, self._visible.shape[-1]))
        itself = torch.eye(width, dtype=torch.bool, device=tokens.device).expand(rows, -1, -1)
        self._visible = torch.cat([lineage, itself], dim=-1)
        depths = torch.full_like(tokens, self._depth)
        self.logits = self._forward(tokens, depths, self._visible)
        self._depth += 1

    def probe(self, tokens: Tensor, depths: Tensor, visible: Tensor) -> Tensor:
        """Logits of a whole tree at once, in one forward pass that leaves no trace in the cache.

        Args:
            tokens: (B, S) token ids of the tree's nodes.
            depths: (B, S) 0 for tokens that directly follow the prompt.
            visible: (B, S, S) bool, true where the column is the row's ancestor or itself.

        Returns:
            (B, S, C) next-token logits.
        """
        logits = self._forward(tokens, depths, visible)
        self._cache.crop(-tokens.shape[1])
        return logits

    def _forward(self, tokens: Tensor, depths: Tensor, visible: Tensor) -> Tensor:
        prompt = self._prompt_mask[:, None, :].expand(-1, tokens.shape[1], -1)
        seen = torch.cat([prompt, visible], dim=-1)[:, None]
        # Additive, because eager attention adds its mask and sdpa takes either kind.
        bias = torch.zeros(seen.shape, dtype=self._dtype, device=tokens.device).masked_fill(
            ~seen, torch.finfo(self._dtype).min
        )
        fed = Positions(tokens, self._lengths[:, None] + depths, bias)
        return next_logits(self._model, self._span, fed, self._cache)
