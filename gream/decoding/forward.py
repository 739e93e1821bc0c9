"""The forward pass of decoding: Llama's family as its library has it, less what decoding does not need.

Most of a small model's step goes into everything around its products: modules that call modules, masks that are made
and made again, a normalisation in six operations. Here one function runs a layer. Of a prompt's last layer it computes
keys and values for all positions and the rest for the last one alone, since nobody reads the others: in a model of two
layers that is nearly half of a prompt's arithmetic.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, rms_norm
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from gream.decoding.cache import GrowingCache

LLAMA_FAMILY: Final = {"llama", "mistral", "qwen2", "qwen3"}
"""Architectures (`model_type`) whose layers are Llama's, the normalised queries and keys of Qwen3 apart, and whose
logits are the head's product and nothing else."""
_FREQUENCIES_OF_LENGTH: Final = {"dynamic", "longrope"}
"""Kinds of rotary embedding whose module changes its frequencies with the length of what it is called for."""


@dataclass(frozen=True)
class Positions:
    """Tokens on their way into a model.

    Attributes:
        tokens: (B, T) token ids.
        places: (B, T) where each stands in its text, from 0.
        mask: (B, L) bool, which of a cache's positions, the new ones included, hold tokens; each new token sees those
            up to itself. Or (B, 1, T, L), what is added to the attention's scores.
    """

    tokens: Tensor
    places: Tensor
    mask: Tensor

    def for_library(self, cache: GrowingCache) -> dict[str, Any]:
        """What the library's own forward pass is called with."""
        return {
            "input_ids": self.tokens,
            "attention_mask": self.mask.long() if self.mask.dim() == 2 else self.mask,
            "position_ids": self.places,
            "past_key_values": cache,
            "use_cache": True,
        }


def last_hidden(model: Any, fed: Positions, cache: GrowingCache, *, last_only: bool = False) -> Tensor:
    """Feed tokens to a causal LM, up to its head.

    Args:
        model: of Transformers, or of PEFT around one.
        fed: (B, T) tokens.
        cache: keys and values of the positions before; it gets those of the new ones.
        last_only: whether only the last position's output is wanted.

    Returns:
        (B, T or 1, d) output of the last layer, normalised.
    """
    decoder = model.get_decoder()
    if not _is_plain(model):
        output: Tensor = decoder(**fed.for_library(cache)).last_hidden_state
        return output[:, -1:] if last_only else output
    hidden = _embedded(decoder.embed_tokens, fed.tokens)
    bias = _causal_bias(fed.mask, hidden) if fed.mask.dim() == 2 else fed.mask
    rotation = _rotation(decoder, hidden, fed.places)
    *before, last = decoder.layers
    for layer in before:
        hidden = _through(layer, hidden, rotation, bias, cache)
    return _normalised(decoder.norm, _through(last, hidden, rotation, bias, cache, last_only))


def _is_plain(model: Any) -> bool:
    """Whether its layers are run here; sliding windows, other kinds of attention and dropout are the library's."""
    config = model.config
    return (
        config.model_type in LLAMA_FAMILY
        and config._attn_implementation == "sdpa"
        and getattr(config, "sliding_window", None) is None
        and not model.training
    )


def _embedded(table: nn.Module, tokens: Tensor) -> Tensor:
    """(B, T, d) rows of the embedding.

    A model in pieces (FSDP) takes the first module with hooks of its own that is called for its root, and refuses all
    others: of those modules only weights are used here. Adapters' wrappers, which are no embeddings, are called.
    """
    if isinstance(table, nn.Embedding):
        return embedding(tokens, table.weight)
    embedded: Tensor = table(tokens)
    return embedded


def _causal_bias(mask: Tensor, hidden: Tensor) -> Tensor | None:
    """(B, 1, T, L) for the newest T of L positions; None where the kernel's own causal mask says the same.

    A position without a token sees itself: a softmax over nothing would be NaN, and spread.
    """
    width, dtype = hidden.shape[1], hidden.dtype
    if width in (1, mask.shape[1]) and mask.all():
        return None
    place = torch.arange(mask.shape[1], device=mask.device)
    own = place[-width:, None]
    seen = (mask[:, None] & (place <= own)) | (place == own)
    bias = torch.zeros(seen.shape, dtype=dtype, device=mask.device).masked_fill(~seen, torch.finfo(dtype).min)
    return bias[:, None]


def _rotation(decoder: Any, hidden: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 1, D) cosines and sines, the sines of a head's first half negated: what `_rotated` takes.

    The library's module finds each angle twice and forbids autocast first, which takes as long as a layer's attention.
    """
    rotary = decoder.rotary_emb
    if rotary.rope_type in _FREQUENCIES_OF_LENGTH:
        cos, sin = rotary(hidden, places)
        half = sin.shape[-1] // 2
        return cos[:, :, None], torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)[:, :, None]
    angles = places[..., None, None] * rotary.inv_freq.float()
    cos, sin = angles.cos(), angles.sin()
    if rotary.attention_scaling != 1.0:
        cos, sin = cos * rotary.attention_scaling, sin * rotary.attention_scaling
    cos, sin = cos.to(hidden.dtype), sin.to(hidden.dtype)
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def _rotated(states: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding of (B, T, heads, D)."""
    cos, sin = rotation
    return states * cos + states.roll(states.shape[-1] // 2, dims=-1) * sin


def _normalised(norm: Any, states: Tensor) -> Tensor:
    """What the library's module computes, in one operation; under autocast its products come back in half precision."""
    weight = norm.weight
    return rms_norm(states.to(weight.dtype), weight.shape, weight, norm.variance_epsilon)


def _through(
    layer: Any,
    hidden: Tensor,
    rotation: tuple[Tensor, Tensor],
    bias: Tensor | None,
    cache: GrowingCache,
    last_only: bool = False,
) -> Tensor:
    """(B, T or 1, d) after one layer, from (B, T, d) before it."""
    attention, mlp = layer.self_attn, layer.mlp
    states = _normalised(layer.input_layernorm, hidden)
    heads = (*states.shape[:2], -1, attention.head_dim)
    keys = _product(attention.k_proj, states).view(heads)
    if (norm := getattr(attention, "k_norm", None)) is not None:
        keys = _normalised(norm, keys)
    keys, values = cache.update(
        _rotated(keys, rotation).transpose(1, 2),
        _product(attention.v_proj, states).view(heads).transpose(1, 2),
        attention.layer_idx,
    )
    if last_only:
        hidden, states = hidden[:, -1:], states[:, -1:]
        rotation = (rotation[0][:, -1:], rotation[1][:, -1:])
        bias = None if bias is None else bias[:, :, -1:]
    queries = _product(attention.q_proj, states).view(*states.shape[:2], -1, attention.head_dim)
    if (norm := getattr(attention, "q_norm", None)) is not None:
        queries = _normalised(norm, queries)
    queries = _rotated(queries, rotation).transpose(1, 2)
    attended, _ = sdpa_attention_forward(attention, queries, keys, values, bias, scaling=attention.scaling)
    hidden = hidden + _product(attention.o_proj, attended.reshape(*attended.shape[:2], -1))
    states = _normalised(layer.post_attention_layernorm, hidden)
    gated = mlp.act_fn(_product(mlp.gate_proj, states)) * _product(mlp.up_proj, states)
    return hidden + _product(mlp.down_proj, gated)


def _product(module: Any, states: Tensor) -> Tensor:
    """What a projection gives, past its module (and hooks) where it is plain: such calls add up in a small model."""
    if type(module) is nn.Linear:
        return linear(states, module.weight, module.bias)
    product: Tensor = module(states)
    return product
