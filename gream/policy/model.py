"""The backbone: a small Qwen3-architecture model from scratch, or a Hugging Face causal LM with new index tokens."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from gream.config import ModelConfig
from gream.data.movielens import cache_folder
from gream.errors import ConfigError
from gream.policy.dropout import add_dropout
from gream.policy.smollm2 import smollm2_folder
from gream.policy.tokenizer import extend_tokenizer, train_tokenizer

SCRATCH = "scratch"

ATTENTION = "sdpa"
"""The decoder's tree attention passes a mask, which flash attention does not take."""


def build_tokenizer(config: ModelConfig, texts: Iterable[str], index_tokens: Sequence[str]) -> Any:
    """The tokenizer of a backbone, with index tokens.

    Args:
        config: the model section of a profile.
        texts: what a scratch model's merges are learned from; not read for a pretrained one.
        index_tokens: all tokens that any item may use.

    Raises:
        ConfigError: the backbone cannot be found, or its tokenizer does not fit.
    """
    if config.backbone == SCRATCH:
        return train_tokenizer(texts, config.vocabulary, index_tokens)
    return extend_tokenizer(_pretrained_tokenizer(config.backbone), index_tokens)


def build_backbone(config: ModelConfig, tokenizer: Any, seed: int) -> Any:
    """The model before training, as a Hugging Face causal LM with a row for every token of `tokenizer`.

    Weights from scratch, and rows of new tokens in a pretrained model, depend on `seed` alone. New rows are drawn from
    a normal distribution fitted to each dimension of the existing rows, so that they look like tokens the model knows
    and yet differ from each other.

    Raises:
        ConfigError: the backbone cannot be found, or its sizes do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.backbone != SCRATCH:
            return _pretrained(config, tokenizer)
        model = _from_scratch(config, tokenizer)
    if config.dropout:
        add_dropout(model, config.dropout)
    return model.to(getattr(torch, config.dtype))


def continued_backbone(config: ModelConfig, policy: Path) -> Any:
    """The model of a policy bundle, to be trained further; a scratch model with the dropout that it was trained with.

    Args:
        config: the model section of a profile; its dropout and number type are taken.
        policy: the bundle.
    """
    dtype = getattr(torch, config.dtype)
    model = AutoModelForCausalLM.from_pretrained(policy, dtype=dtype, attn_implementation=ATTENTION)
    if config.backbone == SCRATCH and config.dropout:
        add_dropout(model, config.dropout)
    return model


def _from_scratch(config: ModelConfig, tokenizer: Any) -> Any:
    if config.hidden_size % config.heads or config.hidden_size // config.heads % 2:
        raise ConfigError(
            f"model.hidden_size = {config.hidden_size} must be an even multiple of model.heads = {config.heads}."
        )
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            head_dim=config.hidden_size // config.heads,
            max_position_embeddings=config.max_positions,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            attn_implementation=ATTENTION,
        )
    )


def _pretrained(config: ModelConfig, tokenizer: Any) -> Any:
    if config.dropout:
        raise ConfigError(f"model.dropout = {config.dropout} is for backbone = {SCRATCH!r} only; set it to 0.")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            _folder_or_name(config.backbone), dtype=getattr(torch, config.dtype), attn_implementation=ATTENTION
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"model.backbone = {config.backbone!r} cannot be loaded: {_first_line(error)}") from error
    known = len(_pretrained_tokenizer(config.backbone))
    rows = max(len(tokenizer), model.get_input_embeddings().weight.shape[0])
    model.resize_token_embeddings(rows, mean_resizing=False)
    tables = {id(table): table for table in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)}
    for table in tables.values():  # one where input and output are tied
        _draw_rows(table.data, known, len(tokenizer))
    return model


def _draw_rows(table: Tensor, first: int, last: int) -> None:
    known = table[:first].float()
    mean, deviation = known.mean(dim=0), known.std(dim=0)
    table[first:last] = mean + deviation * torch.randn(last - first, table.shape[1])


def _pretrained_tokenizer(backbone: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(_folder_or_name(backbone))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"model.backbone = {backbone!r} has no tokenizer that can be loaded: {_first_line(error)}"
        ) from error


def _folder_or_name(backbone: str) -> str:
    if backbone == "smollm2":
        return str(smollm2_folder(cache_folder()))
    return backbone


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
