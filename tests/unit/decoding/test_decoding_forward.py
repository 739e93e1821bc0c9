"""The pass that decoding runs is the library's: the same hidden states, and the same keys and values behind them."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gream.decoding.cache import GrowingCache
from gream.decoding.forward import Positions, last_hidden
from gream.policy.dropout import add_dropout
from gream.profile_files import load_profile
from gream.training.lora import add_adapters

pytestmark = pytest.mark.unit

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}
KINDS = {
    "llama": {},
    "llama, stretched": {"rope_parameters": LLAMA3},
    "llama, stretched and scaled": {"rope_parameters": YARN},
    "llama, biases": {"attention_bias": True, "mlp_bias": True},
    "mistral": {"sliding_window": None},
    "mistral, window": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "qwen3, window": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0},
    "gpt_neox": {},
}
"""A window is shorter than the longest prompt: who forgets it sees too much."""

TOKENS = torch.tensor([[0, 0, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14]])
MASK = torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1] * 7]).bool()
PLACES = (MASK.cumsum(dim=1) - 1).clamp(min=0)


def untrained(kind, attention="sdpa", **changes):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind.split(",")[0], **(SHAPE | KINDS[kind] | changes))
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    for name, weights in model.named_parameters():
        if "norm" in name or name.endswith("bias"):  # From scratch they are ones and zeros: who skips them is right.
            torch.nn.init.uniform_(weights, 0.5, 1.5)
    return model


@pytest.fixture(params=KINDS)
def kind(request):
    return untrained(request.param)


def part(first, last):
    """Positions `first` to `last` behind those before."""
    return Positions(TOKENS[:, first:last], PLACES[:, first:last], MASK[:, :last])


def by_library(model):
    """(B, 7, d) of one pass."""
    with torch.no_grad():
        return model.get_decoder()(TOKENS, attention_mask=MASK.long(), position_ids=PLACES).last_hidden_state


def assert_same(ours, theirs, mask=MASK):
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(ours[mask], theirs[mask], rtol=1e-4, atol=1e-5)


def test_one_pass_is_the_librarys(kind):
    with torch.no_grad():
        ours = last_hidden(kind, part(0, 7), GrowingCache())
    assert_same(ours, by_library(kind))


def test_without_padding_too(kind):
    whole = Positions(TOKENS[1:], PLACES[1:], MASK[1:])
    with torch.no_grad():
        ours = last_hidden(kind, whole, GrowingCache())
        theirs = kind.get_decoder()(TOKENS[1:]).last_hidden_state
    assert_same(ours, theirs, MASK[1:])


@pytest.mark.parametrize("pieces", [(3, 7), (6, 7), (4, 5, 6, 7)])
def test_a_text_in_pieces_is_the_text(kind, pieces):
    cache, ends = GrowingCache(), (0, *pieces)
    with torch.no_grad():
        ours = [last_hidden(kind, part(*ends[at : at + 2]), cache) for at in range(len(pieces))]
    assert_same(torch.cat(ours, dim=1), by_library(kind))


def test_frequencies_that_follow_the_length_of_a_text_are_the_librarys_affair():
    longer_than_made_for = untrained("llama", rope_parameters=DYNAMIC, max_position_embeddings=4)
    with torch.no_grad():
        ours = last_hidden(longer_than_made_for, part(0, 7), GrowingCache())
    assert_same(ours, by_library(longer_than_made_for))


def test_last_position_alone_leaves_the_same_cache(kind):
    caches = GrowingCache(), GrowingCache()
    with torch.no_grad():
        whole, last = (last_hidden(kind, part(0, 7), cache, last_only=cache is caches[1]) for cache in caches)
    assert last.shape == (2, 1, 32)
    torch.testing.assert_close(last[:, 0], whole[:, -1], rtol=1e-4, atol=1e-5)
    for one, other in zip(*(cache.layers for cache in caches), strict=True):
        for row, kept in enumerate(MASK):
            torch.testing.assert_close(one.keys[row][:, kept], other.keys[row][:, kept])
            torch.testing.assert_close(one.values[row][:, kept], other.values[row][:, kept])


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt_neox"])
def test_scores_may_be_added_in_place_of_a_mask(name):
    model = untrained(name)
    seen = torch.ones(7, 7).tril().bool() & MASK[:, None]
    seen[:, 6, 4] = False  # What a causal mask cannot say.
    bias = torch.zeros(2, 1, 7, 7).masked_fill(~seen[:, None], torch.finfo(torch.float32).min)
    with torch.no_grad():
        ours = last_hidden(model, Positions(TOKENS, PLACES, bias), GrowingCache())
        theirs = model.get_decoder()(TOKENS, attention_mask=bias, position_ids=PLACES).last_hidden_state
    assert_same(ours, theirs)
    assert not torch.allclose(ours[:, 6], by_library(model)[:, 6])


def test_other_attention_is_the_librarys_affair():
    assert_same(last_hidden(untrained("qwen3", "eager"), part(0, 7), GrowingCache()), by_library(untrained("qwen3")))


def test_adapters_count():
    plain = untrained("qwen3")
    adapted = add_adapters(copy.deepcopy(plain), [5, 21], load_profile("small", []).sft, seed=0).eval()
    torch.manual_seed(0)
    for weights in adapted.parameters():
        if weights.requires_grad:
            torch.nn.init.normal_(weights, std=0.3)
    with torch.no_grad():
        ours = last_hidden(adapted, part(0, 7), GrowingCache())
    assert_same(ours, by_library(adapted))
    assert not torch.allclose(ours[MASK], by_library(plain)[MASK], atol=0.1)


def test_a_model_in_training_keeps_its_dropout():
    model = untrained("qwen3")
    add_dropout(model, 0.5)
    with torch.no_grad():
        assert_same(last_hidden(model, part(0, 7), GrowingCache()), by_library(model))
        noisy = last_hidden(model.train(), part(0, 7), GrowingCache())
    assert not torch.allclose(noisy[MASK], by_library(model.eval())[MASK], atol=0.1)


def test_half_precision_is_as_near_to_full_as_the_librarys():
    model = untrained("qwen3")
    exact = by_library(model)[MASK]
    half = copy.deepcopy(model).to(torch.bfloat16)
    with torch.no_grad():
        ours = last_hidden(half, part(0, 7), GrowingCache())[MASK]
    theirs = by_library(half)[MASK]
    assert ours.dtype == torch.bfloat16
    assert (ours.float() - exact).norm() < 1.5 * (theirs.float() - exact).norm()
