"""How many tokens a forward pass of decoding holds, by the device and the size of a model."""

import pytest
import torch
from transformers import GPTNeoXConfig, Qwen3Config, Qwen3ForCausalLM

from gream.decoding.batching import MOST_TOKENS, TOKEN_BUDGET, budget_of, cache_bytes_per_token, gpu_budget

pytestmark = pytest.mark.unit


def small_model(device: str) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=8,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
    )
    with torch.device(device):
        return Qwen3ForCausalLM(config)


def test_a_token_has_a_key_and_a_value_in_each_head_of_each_layer():
    config = small_model("meta").config

    assert cache_bytes_per_token(config, torch.float32) == 2 * 3 * 2 * 4 * 4
    assert cache_bytes_per_token(config, torch.bfloat16) == 2 * 3 * 2 * 4 * 2


def test_an_architecture_without_grouped_heads_has_as_many_keys_as_queries():
    config = GPTNeoXConfig(hidden_size=16, num_hidden_layers=3, num_attention_heads=4)

    assert cache_bytes_per_token(config, torch.float32) == 2 * 3 * 16 * 4


def test_on_a_cpu_every_model_has_the_same_budget():
    assert budget_of(small_model("cpu")) == TOKEN_BUDGET


def test_off_the_cpu_a_small_model_holds_more_at_once():
    assert budget_of(small_model("meta")) == MOST_TOKENS


@pytest.mark.parametrize(
    ("kib", "tokens"),
    [
        (144, TOKEN_BUDGET),  # Qwen3-4B: 4 GiB would be 29,127 tokens.
        (64, 65_536),
        (1, MOST_TOKENS),
    ],
)
def test_a_gpu_holds_4_gib_of_keys_and_values_between_the_two_ends(kib: int, tokens: int):
    assert gpu_budget(kib * 2**10) == tokens
