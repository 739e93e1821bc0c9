"""LoRA: low-rank adapters on every linear layer, and full training of the few rows that are new tokens.

The adapters are merged before a policy is saved: engines then load plain weights, and vLLM, which takes no adapters
that bring embedding rows along, needs no special case.
"""

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from gream.config import SftConfig


def add_adapters(model: Any, new_token_ids: Sequence[int], config: SftConfig, seed: int) -> Any:
    """Wrap a causal LM so that only adapters and the rows of new tokens are trained.

    Args:
        model: from `gream.policy.model.build_backbone`.
        new_token_ids: ids of the index tokens and answer tags.
        config: rank and alpha.
        seed: of the adapters' first weights.
    """
    rows = sorted(set(new_token_ids))
    tied = model.config.tie_word_embeddings
    adapters = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        # With tied embeddings, peft trains the rows once for both ends.
        trainable_token_indices={"embed_tokens": rows} if tied else {"embed_tokens": rows, "lm_head": rows},
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, adapters)


def merge_adapters(model: Any) -> Any:
    """The plain causal LM with everything that was trained in its weights."""
    return model.merge_and_unload()
