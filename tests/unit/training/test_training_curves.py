"""Frozen curves of two small trainings: what changes them changes what everybody's training does, and says so here.

The figures are of these settings and seeds, with room for the rounding of another machine. Who changes the loss, the
schedule, the order of the examples, the sampling or the advantages on purpose writes down the new ones.
"""

import pytest
from training_toy import INDEX

from gream.config import SftConfig, SrpoConfig
from gream.corpora.example import Example
from gream.training.rollouts import Task, TransformersSampler
from gream.training.sft import train_sft
from gream.training.srpo import train_srpo

pytestmark = pytest.mark.unit


def test_sft(toy, tmp_path):
    plan = [
        toy.prompter.examples(
            [Example("seqrec", "Continue the sequence.", item * 3), Example("item2index", "Which?", item)]
        )
        for item in ("".join(INDEX[number % 8]) for number in range(10))
    ]
    settings = SftConfig(learning_rate=3e-3, checkpoint_steps=10, log_steps=1, precision="float32")
    log = train_sft(toy.model(), toy.tokenizer, plan, settings, tmp_path, seed=0)
    frozen = [5.767, 5.818, 5.638, 5.724, 5.582, 5.365, 5.316, 5.391, 5.039, 5.0]
    assert [entry["loss"] for entry in log] == pytest.approx(frozen, rel=3e-3)


def test_srpo(toy, tmp_path):
    settings = SrpoConfig(
        steps=3,
        prompts_per_step=4,
        updates_per_step=2,
        group_size=6,
        pass_k=2,
        max_chain_tokens=8,
        learning_rate=1e-3,
        warmup_steps=1,
        kl_coefficient=0.01,
    )
    sampled = (settings.group_size, settings.temperature, settings.max_chain_tokens)
    sampler = TransformersSampler(toy.trie, INDEX, toy.prompter, *sampled)
    tasks = [Task(history=[number, (number + 1) % 8], target=5, reasoning=number % 2 == 0) for number in range(8)]
    log = train_srpo(toy.model(), toy.tokenizer, sampler, tasks, settings, tmp_path, seed=0)
    assert [entry["reward"] for entry in log[::2]] == pytest.approx([0.1890, 0.2037, 0.2306], rel=1e-3)
    frozen = [-0.4806, 0.4806, 0.5831, -0.4731, -0.1041, 0.0663]
    assert [entry["loss"] for entry in log] == pytest.approx(frozen, rel=2e-2, abs=0.005)
    frozen = [0.0, 0.0, 0.000436, 0.00364, 0.0187, 0.0324]
    assert [entry["kl"] for entry in log] == pytest.approx(frozen, rel=5e-2, abs=1e-6)
