"""A policy with random weights over a made-up shop, written in a second, for tests of what serves it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from gream.data.catalog import ITEM_SCHEMA
from gream.data.transitions import transition_counts
from gream.indexing import SemanticIndex
from gream.policy.bundle import PolicyFacts, save_policy
from gream.policy.model import build_backbone, build_tokenizer
from gream.policy.transition_prior import PriorWeights, TransitionPrior
from gream.profile_files import load_profile

CATEGORIES = ["Books", "Games", "Garden"]
LEVEL_SIZES = (6, 6, 6)


def write_tiny_policy(
    path: Path, seed: int = 0, n_items: int = 60, with_prior: bool = False, **facts: Any
) -> list[str]:
    """Write a bundle; the ids of its items.

    Item n is in category n mod 3, every fourth one in `Games` too. Some items share all their codes.

    Args:
        path: the folder to make.
        seed: of codes, weights and transitions.
        n_items: size of the shop.
        with_prior: whether its search has a prior.
        facts: entries of `PolicyFacts` to change.
    """
    random = np.random.default_rng(seed)
    ids = [f"item-{number}" for number in range(n_items)]
    items = pl.DataFrame(
        {
            "item_id": ids,
            "title": [f"Thing No. {number}" for number in range(n_items)],
            "description": [""] * n_items,
            "brand": [""] * n_items,
            "categories": [
                [CATEGORIES[number % 3], *(["Games"] if number % 4 == 0 and number % 3 != 1 else [])]
                for number in range(n_items)
            ],
        },
        schema=ITEM_SCHEMA,
    )
    codes = random.integers(0, 6, size=(n_items, 3))
    codes[1] = codes[0]
    index = SemanticIndex.from_codes(ids, codes, LEVEL_SIZES)
    profile = load_profile(
        "laptop",
        [
            "model.hidden_size=32",
            "model.layers=2",
            "model.heads=1",  # vLLM on CPUs wants heads of at least 32 dimensions.
            "model.intermediate_size=64",
            "model.vocabulary=400",
            "corpus.history_window=6",
            "corpus.reasoning_window=4",
            "evaluation.max_chain_tokens=24",
            "evaluation.beams=8",
        ],
    )
    tokenizer = build_tokenizer(profile.model, ["History: Think about what this user wants."], index.vocabulary)
    model = build_backbone(profile.model, tokenizer, seed)
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.data *= 6.0  # Spread out, so that no two items score alike by accident.
    changes = facts | ({"prior": PriorWeights(direct=0.4, reasoning=0.2)} if with_prior else {})
    prior = None
    if with_prior:
        sequences = [random.choice(n_items, size=12).tolist() for _ in range(40)]
        prior = TransitionPrior(transition_counts(sequences, n_items))
    told = PolicyFacts.of(profile, "made-up", "sft", seed).model_copy(update=changes)
    save_policy(path, model.to(torch.float32), tokenizer, index, items, told, prior)
    return ids


def histories(ids: list[str], count: int, seed: int = 0) -> list[list[str]]:
    """Made-up histories of 0 to 9 items."""
    random = np.random.default_rng(seed)
    return [[ids[place] for place in random.integers(0, len(ids), size=random.integers(0, 10))] for _ in range(count)]
