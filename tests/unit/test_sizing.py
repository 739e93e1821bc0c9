"""The arithmetic of GPU memory: hand-worked numbers, and the page that is made of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from gream.config import SftConfig, SrpoConfig
from gream.profile_files import load_profile
from gream.sizing import (
    FLOAT32,
    GIB,
    RESERVE,
    SFT_LOSS,
    Backbone,
    evaluation_memory,
    host_memory,
    sft_memory,
    srpo_memory,
)
from gream.sizing_page import GPU_GIB, LLAMA_70B, PROMPT_TOKENS, QWEN_4B, QWEN_8B, QWEN_14B, SETTINGS, page

pytestmark = pytest.mark.unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sizing.md"

TOY = Backbone("toy", layers=2, hidden=8, heads=2, kv_heads=1, head_dim=4, intermediate=16, vocabulary=10)
"""Layer: attention 8 x 8 + 2 x (8 x 4) + 8 x 8 = 192, feed-forward 3 x 8 x 16 = 384, norms 2 x 8 + 2 x 4 = 24: 600.
Embedding and output 2 x 80, last norm 8: 168. Two layers: 1,368."""
P = 1_368


def test_parameters_of_a_toy_by_hand():
    assert (TOY.layer_parameters, TOY.embedding_parameters, TOY.parameters) == (600, 168, P)


@pytest.mark.parametrize(
    ("backbone", "published"),
    [
        (QWEN_4B, 4_022_468_096),
        (QWEN_8B, 8_190_735_360),
        (QWEN_14B, 14_768_307_200),
        (LLAMA_70B, 70_553_706_496),
    ],
)
def test_parameters_are_those_of_the_published_weights(backbone, published):
    assert backbone.parameters == published


def test_parameters_and_adapters_are_those_of_the_model_itself():
    """A model of the library, and adapters of peft around it, at a size that is built in no time."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from gream.training.lora import add_adapters

    config = Qwen3Config(
        vocab_size=10,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        tie_word_embeddings=False,
    )
    with torch.device("cpu"):
        model = Qwen3ForCausalLM(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == P
    adapted = add_adapters(model, [9], SftConfig(method="lora", lora_rank=2), seed=0)
    names = [(name, parameter) for name, parameter in adapted.named_parameters() if "lora_" in name]
    in_layers = sum(parameter.numel() for name, parameter in names if "layers" in name)
    assert in_layers == TOY.adapter_parameters(2)


def test_adapters_by_hand():
    """Query and output 8 + 8 each, key and value 8 + 4 each, feed-forward 3 x (8 + 16): 128 a layer and rank."""
    assert TOY.adapter_parameters(2) == 2 * 2 * 128


def test_one_token_by_hand():
    """Of h = 8 four vectors, queries and output 2 x 8, keys and values 2 x 4, four of 16: 120 numbers of 2 bytes."""
    assert TOY.layer_bytes_per_token() == 240
    assert TOY.activation_bytes(tokens=5, checkpointing=False) == 5 * 2 * 240
    assert TOY.activation_bytes(tokens=5, checkpointing=True) == 5 * (2 * 16 + 240)
    assert TOY.cache_bytes_per_token == 2 * 2 * 2 * 1 * 4


def test_one_token_by_hand_where_float32_weights_are_whole():
    """The four vectors of h = 8 have 4 bytes a number: 4 x 8 x 4 + (16 + 8 + 64) x 2."""
    assert TOY.layer_bytes_per_token(FLOAT32) == 304
    assert TOY.activation_bytes(tokens=5, checkpointing=True, vector=FLOAT32) == 5 * (2 * 32 + 304)


def test_full_fine_tuning_of_the_whole_model_on_each_gpu():
    config = SftConfig(batch_size=2, max_tokens=10, gradient_checkpointing=True)
    alone = sft_memory(TOY, config, processes=1)
    assert (alone.weights, alone.gradients, alone.moments, alone.gathered) == (4 * P, 4 * P, 8 * P, 2 * P)
    assert (alone.activations, alone.logits, alone.reserve) == (20 * (2 * 32 + 304), SFT_LOSS, RESERVE)
    assert alone.total == 18 * P + 20 * 368 + SFT_LOSS + RESERVE
    assert sft_memory(TOY, config, processes=4).total - alone.total == 4 * P  # Buckets of gradients.


def test_full_fine_tuning_in_pieces():
    memory = sft_memory(TOY, SftConfig(sharding="full"), processes=4)
    assert (memory.weights, memory.gradients, memory.moments) == (4 * P // 4, 4 * P // 4, 8 * P // 4)
    assert memory.gathered == 2 * (3 * 600 + 168)


def test_adapters_leave_the_weights_frozen():
    trained = TOY.adapter_parameters(32)
    whole = sft_memory(TOY, SftConfig(method="lora"), processes=4)
    assert (whole.weights, whole.gradients, whole.moments) == (2 * P + 4 * trained, 4 * trained, 8 * trained)
    pieces = sft_memory(TOY, SftConfig(method="lora", sharding="full"), processes=4)
    assert (pieces.weights, pieces.gradients) == ((2 * P + 4 * trained) // 4, trained)
    assert pieces.gathered == 2 * (2 * 600 + 168)


def test_batches_by_tokens_are_bounded_by_them():
    by_tokens = sft_memory(TOY, SftConfig(batch_size=8, max_tokens=100, batch_tokens=300), processes=1)
    assert by_tokens.activations == TOY.activation_bytes(300, checkpointing=False, vector=FLOAT32)
    one_long = sft_memory(TOY, SftConfig(batch_size=8, max_tokens=100, batch_tokens=50), processes=1)
    assert one_long.activations == TOY.activation_bytes(100, checkpointing=False, vector=FLOAT32)


def test_reinforcement_is_as_large_as_its_larger_moment():
    config = SrpoConfig(micro_batch=4, group_size=10, max_chain_tokens=30, sharding="full")
    rollout = srpo_memory(TOY, config, prompt_tokens=20, processes=4)
    assert (rollout.gathered, rollout.cache, rollout.activations) == (2 * P, 2**18 * 32, 0)
    assert rollout.reference == 2 * P // 4
    longer = config.model_copy(update={"max_chain_tokens": 3_000})
    update = srpo_memory(TOY, longer, prompt_tokens=20, processes=4)
    assert (update.activations, update.cache) == (TOY.activation_bytes(4 * 3_020, checkpointing=False), 0)
    assert update.logits == 4 * 3_000 * 10 * 24


def test_a_reference_in_pieces_is_gathered_whole_and_twice():
    """Without gradients one layer's activations stand at a time, and logits have 2 bytes."""
    large = replace(TOY, vocabulary=1_000_000)
    config = SrpoConfig(micro_batch=2, group_size=10, max_chain_tokens=1, sharding="full")
    whole = 2 * (2 * 600 + 2 * 8 * 1_000_000 + 8)
    memory = srpo_memory(large, config, prompt_tokens=20, processes=4)
    assert memory.reference == whole // 4 + 2 * whole
    assert (memory.activations, memory.logits, memory.cache) == (2 * 21 * 240, 2 * 1_000_000 * 2, 0)


def test_reinforcement_of_the_whole_model_on_each_gpu():
    config = SrpoConfig(micro_batch=4, group_size=10, max_chain_tokens=3_000)
    memory = srpo_memory(TOY, config, prompt_tokens=20, processes=1)
    assert (memory.weights, memory.gathered, memory.reference) == (4 * P, 2 * P, 2 * P)
    assert memory.activations == TOY.activation_bytes(4 * 3_020, checkpointing=False, vector=FLOAT32)


def test_an_engine_beside_the_trainer_stays_during_updates():
    config = SrpoConfig(micro_batch=1, group_size=10, max_chain_tokens=30, sharding="full", rollouts="vllm")
    rollout = srpo_memory(TOY, config, prompt_tokens=20, processes=4)
    assert (rollout.cache, rollout.activations) == (65_536 * 32, 0)
    assert rollout.engine == 2 * P + 256 * 10 * 32
    assert rollout.gathered == 2 * (3 * 600 + 168)  # It is fed one weight at a time.
    longer = config.model_copy(update={"max_chain_tokens": 3_000})
    update = srpo_memory(TOY, longer, prompt_tokens=20, processes=4)
    assert (update.cache, update.engine) == (65_536 * 32, 2 * P)
    assert update.activations == TOY.activation_bytes(3_020, checkpointing=False)


def test_evaluation_and_host():
    assert evaluation_memory(TOY).total == 2 * P + 2**18 * 32 + RESERVE
    assert (host_memory(TOY, "full"), host_memory(TOY, "lora")) == (4 * P, 2 * P)


@pytest.mark.parametrize(
    "setting", SETTINGS, ids=lambda setting: f"{setting.backbone.name} {setting.nodes}x{setting.gpus}"
)
def test_every_setting_is_allowed_and_fits(setting):
    profile, processes = setting.profile, setting.nodes * setting.gpus
    assert profile.model.backbone == setting.backbone.name
    assert setting.sft.total <= GPU_GIB * GIB
    if setting.srpo is not None:
        assert setting.srpo.total <= GPU_GIB * GIB
        prompts, rest = divmod(profile.srpo.prompts_per_step, profile.srpo.updates_per_step * processes)
        assert rest == 0
        assert prompts * profile.srpo.group_size % profile.srpo.micro_batch == 0


def test_what_the_page_says_of_4b_on_one_gpu():
    profile = load_profile("paper", ["srpo.micro_batch=1", "srpo.rollouts=transformers"])
    assert sft_memory(QWEN_4B, profile.sft, processes=1).total > GPU_GIB * GIB
    assert srpo_memory(QWEN_4B, profile.srpo, PROMPT_TOKENS, processes=1).total > GPU_GIB * GIB


def test_what_the_page_says_of_70b():
    assert evaluation_memory(LLAMA_70B).total > GPU_GIB * GIB
    config = SrpoConfig(sharding="full", micro_batch=1)
    assert srpo_memory(LLAMA_70B, config, PROMPT_TOKENS, processes=32).total > GPU_GIB * GIB


def test_page_is_written_from_the_arithmetic():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m gream.sizing_page > docs/sizing.md"
