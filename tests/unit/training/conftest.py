"""A toy policy: eight items with two codes each, and a tiny Qwen3 from scratch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from training_toy import INDEX

from gream.config import ModelConfig
from gream.decoding.trie import TokenTrie
from gream.policy.model import build_backbone
from gream.policy.prompting import Prompter
from gream.policy.tokenizer import train_tokenizer
from gream.prompts import load_prompts


@dataclass(frozen=True)
class Toy:
    tokenizer: Any
    prompter: Prompter
    trie: TokenTrie
    folder: Path

    def model(self) -> Any:
        """A fresh copy of the policy, loaded from its folder as training does it."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.folder, attn_implementation="sdpa")


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Toy:
    tokens = sorted({token for item in INDEX for token in item})
    tokenizer = train_tokenizer(["history think about what this user wants then recommend"], 300, tokens)
    prompter = Prompter(tokenizer, load_prompts("policy"), history_window=4, reasoning_window=3)
    config = ModelConfig(hidden_size=32, layers=2, heads=2, intermediate_size=64, vocabulary=300)
    folder = tmp_path_factory.mktemp("toy-policy")
    build_backbone(config, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    trie = TokenTrie.build([tokenizer.convert_tokens_to_ids(item) for item in INDEX])
    return Toy(tokenizer, prompter, trie, folder)


@pytest.fixture
def two_gpus_in_sight(monkeypatch):
    """Transformers finds two devices for one process."""
    from transformers import TrainingArguments

    make = TrainingArguments.__post_init__

    def see_two(self):
        make(self)
        self._n_gpu = 2

    monkeypatch.setattr(TrainingArguments, "__post_init__", see_two)
