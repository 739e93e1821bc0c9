"""Policies may be kept in bfloat16; what is trained is float32 meanwhile, or a small step would be no step at all."""

import pytest
import torch
from training_toy import INDEX

from gream.config import SftConfig, SrpoConfig
from gream.corpora.example import Example
from gream.training.lora import add_adapters
from gream.training.precision import narrow, widen
from gream.training.rollouts import Task, TransformersSampler
from gream.training.sft import train_sft
from gream.training.srpo import train_srpo

pytestmark = pytest.mark.unit

STEP = 2e-6
"""The paper's learning rate in reinforcement learning."""
SFT = SftConfig(learning_rate=STEP, warmup_ratio=0.0, log_steps=1, precision="bf16")


def kept(model):
    return model.to(torch.bfloat16)


def plan(toy):
    items = ["".join(INDEX[number]) for number in range(4)]
    return [toy.prompter.examples([Example("seqrec", "Continue the sequence.", item * 3)]) for item in items]


def moved(before, after):
    """Share of the layers' weights that are not what they were."""
    changed = [(after[name].float() != weight.float()).float().mean().item() for name, weight in before.items()]
    return min(changed)


def layers(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if "proj" in name}


def test_half_of_the_last_bit_is_lost():
    """0.001 lies between 2^-10 and 2^-9, where bfloat16 numbers are 2^-17 = 7.6e-6 apart: 2e-6 is less than half."""
    weight = torch.tensor(0.001, dtype=torch.bfloat16)
    assert weight + STEP == weight
    assert weight.float() + STEP != weight.float()


def test_small_steps_of_fine_tuning_move_every_weight(toy, tmp_path):
    model = kept(toy.model())
    before = layers(model)
    train_sft(model, toy.tokenizer, plan(toy), SFT, tmp_path, seed=0)
    assert moved(before, layers(model)) > 0.95
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_small_steps_of_reinforcement_move_every_weight(toy, tmp_path):
    settings = SrpoConfig(
        steps=2,
        prompts_per_step=4,
        updates_per_step=2,
        group_size=6,
        pass_k=2,
        max_chain_tokens=8,
        learning_rate=STEP,
        warmup_steps=0,
        precision="bf16",
    )
    model = kept(toy.model())
    before = layers(model)
    sampled = (settings.group_size, settings.temperature, settings.max_chain_tokens)
    sampler = TransformersSampler(toy.trie, INDEX, toy.prompter, *sampled)
    tasks = [Task(history=[number, (number + 1) % 8], target=5, reasoning=number % 2 == 0) for number in range(8)]
    train_srpo(model, toy.tokenizer, sampler, tasks, settings, tmp_path, seed=0)
    assert moved(before, layers(model)) > 0.95


def test_frozen_weights_stay_as_they_are_kept(toy, tmp_path):
    new_ids = toy.tokenizer.convert_tokens_to_ids(INDEX[0])
    lora = SFT.model_copy(update={"method": "lora", "lora_rank": 2})
    model = add_adapters(kept(toy.model()), new_ids, lora, seed=0)
    train_sft(model, toy.tokenizer, plan(toy), SFT, tmp_path, seed=0)
    types = {weight.requires_grad: weight.dtype for weight in model.parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}


def test_what_is_kept_is_rounded_and_its_buffers_are_not(toy):
    model = kept(toy.model())
    before, frequencies = layers(model), model.model.rotary_emb.inv_freq.float()
    widen(model)
    model.model.rotary_emb.inv_freq = frequencies
    narrow(model, torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert all(torch.equal(weight, before[name]) for name, weight in layers(model).items())
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32
