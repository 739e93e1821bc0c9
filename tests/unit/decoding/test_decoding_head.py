"""The logits that are wanted are those of the whole forward pass, whatever the model does behind its head."""

import copy

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from gream.decoding.cache import GrowingCache
from gream.decoding.forward import Positions
from gream.decoding.head import next_logits
from gream.profile_files import load_profile
from gream.training.lora import add_adapters

pytestmark = pytest.mark.unit

TOKENS = torch.tensor([[1, 2, 3], [4, 5, 6]])
FED = Positions(TOKENS, torch.arange(3).expand(2, -1), torch.ones(2, 3, dtype=torch.bool))
WANTED = range(5, 22)


def capped():
    """Its logits are 30 tanh(product / 30)."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=3.0,
        final_logit_softcapping=30.0,
    )
    return Gemma2ForCausalLM(config).eval()


def adapted(model):
    """Adapters on every layer, and rows of their own for two tokens at either end."""
    wrapped = add_adapters(copy.deepcopy(model), [5, 21], load_profile("small", []).sft, seed=0).eval()
    torch.manual_seed(0)
    for weights in wrapped.parameters():
        if weights.requires_grad:
            torch.nn.init.normal_(weights, std=0.3)
    return wrapped


def test_of_a_policy_in_bfloat16_they_are_not_rounded_to_it(model):
    half = copy.deepcopy(model).to(torch.bfloat16)
    with torch.no_grad():
        some = next_logits(half, WANTED, FED, GrowingCache())
        hidden = half.get_decoder()(input_ids=TOKENS).last_hidden_state
        exact = hidden.float() @ half.get_output_embeddings().weight[5:22].float().T
    assert some.dtype == torch.float32
    torch.testing.assert_close(some, exact, rtol=0.02, atol=0.02)  # Its layers run in an order of their own.
    assert (some != some.to(torch.bfloat16)).any()


@pytest.mark.parametrize("kind", ["plain", "capped", "adapted"])
@pytest.mark.parametrize("last_only", [False, True])
def test_wanted_logits_are_those_of_the_whole_pass(model, kind, last_only):
    model = {"plain": lambda: model, "capped": capped, "adapted": lambda: adapted(model)}[kind]()
    with torch.no_grad():
        whole = model(input_ids=TOKENS).logits[:, -1:] if last_only else model(input_ids=TOKENS).logits
        some = next_logits(model, WANTED, FED, GrowingCache(), last_only=last_only)
        everything = next_logits(model, None, FED, GrowingCache(), last_only=last_only)
    torch.testing.assert_close(some, whole[..., 5:22], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(everything, whole, rtol=1e-4, atol=1e-5)
    if kind == "capped":
        assert whole.abs().max() > 25.0  # The cap is felt.
