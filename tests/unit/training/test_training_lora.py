"""LoRA trains adapters and the rows of new tokens; merging gives plain weights that answer the same."""

import copy

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from gream.config import SftConfig
from gream.training.lora import add_adapters, merge_adapters

pytestmark = pytest.mark.unit

NEW_IDS = [28, 29]
LORA = SftConfig(method="lora", lora_rank=2, lora_alpha=4)
IDS = torch.tensor([[3, 28, 5, 29, 4]])


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def model(request):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=30,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=request.param,
    )
    return Qwen3ForCausalLM(config)


def test_merged_model_is_plain_and_answers_the_same(model):
    kinds = {name: tensor.shape for name, tensor in model.state_dict().items()}
    embeddings = model.get_input_embeddings().weight.detach().clone()
    before = model(IDS).logits.detach()

    adapted = add_adapters(model, NEW_IDS, LORA, seed=0)
    optimiser = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        adapted(IDS, labels=IDS).loss.backward()
        optimiser.step()
    trained = adapted(IDS).logits.detach()
    assert not torch.allclose(trained, before, atol=1e-3)

    merged = merge_adapters(adapted)
    assert {name: tensor.shape for name, tensor in merged.state_dict().items()} == kinds
    torch.testing.assert_close(merged(IDS).logits.detach(), trained, atol=1e-5, rtol=1e-5)
    moved = (merged.get_input_embeddings().weight.detach() != embeddings).any(dim=1).nonzero().flatten().tolist()
    assert moved == NEW_IDS


def test_adapters_begin_as_the_seed_says_whatever_was_drawn_before(model):
    def first_weights(seed):
        torch.seed()
        adapted = add_adapters(copy.deepcopy(model), NEW_IDS, LORA, seed)
        return torch.cat([weight.flatten() for name, weight in adapted.named_parameters() if "lora_A" in name])

    assert torch.equal(first_weights(3), first_weights(3))
    assert not torch.equal(first_weights(3), first_weights(4))


def test_adding_adapters_leaves_the_generator_as_it_was(model):
    before = torch.get_rng_state()
    add_adapters(model, NEW_IDS, LORA, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
