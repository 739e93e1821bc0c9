"""Rollouts by a real vLLM (CPU) in the training process."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_policy import write_tiny_policy
from training_shop import run_of, weights

from gream.stages import sft, srpo
from gream.stages.launch import WORKER, Here, Torchrun
from gream.stages.store import stage_facts

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here"),
]

ROUNDING = 1e-4
"""Of log-probabilities, in float32."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A policy in float32."""
    path = tmp_path_factory.mktemp("vllm") / "policy"
    write_tiny_policy(path, seed=7, n_items=150)
    return path


def run(script, bundle, *before):
    """What a script beside this file prints."""
    command = [sys.executable, *before, str(Path(__file__).with_name(script)), str(bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-6_000:]
    return result.stdout


@pytest.fixture(scope="module")
def told(bundle):
    return json.loads(run("training_vllm.py", bundle).splitlines()[-1])


def test_log_probabilities_are_those_of_the_trainers_model(told):
    """Under the same masks, at a temperature that is not the one the policy is served with."""
    assert told["gap"] < ROUNDING
    assert told["cited"] > 10
    assert True in told["finished"]
    assert False in told["finished"]


def test_engine_follows_the_weights(told):
    assert told["gap_of_old_weights"] > 0.01
    assert told["gap_of_new_weights"] < ROUNDING


def test_answers_are_those_that_the_own_decoder_draws(told):
    assert len(told["same_answers"]) == 4
    assert all(told["same_answers"])


def test_randomness_is_the_seeds_alone(told):
    assert told["same_again"]
    assert told["others_with_another_seed"]
    assert told["generator_untouched"]


def test_resumed_training_equals_the_uninterrupted_one(told):
    """With an engine of its own, in the same process, after that of the training that was cut off."""
    assert told["resumed_as_straight"]


def test_engine_in_each_process_follows_a_model_in_pieces(bundle):
    run("training_pieces_vllm.py", bundle, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


class Alone:
    """As `Here`, but not in this process."""

    processes = 1

    def launch(self, job):
        subprocess.run([sys.executable, "-m", WORKER, str(job.file())], check=False)
        return job.notes()


@pytest.mark.parametrize("launcher", [Alone(), Torchrun(2)], ids=["alone", "two"])
def test_reinforcement_with_an_engine_in_each_process(prepared, launcher):
    workspace, *inputs = prepared
    trained = sft.run(*inputs, run_of(workspace), Here())
    context = run_of(workspace, "srpo.rollouts=vllm", "srpo.kl_coefficient=0.01", "srpo.learning_rate=1e-3")
    policy = srpo.run(inputs[-1], trained, context, launcher)
    log = stage_facts(policy)["notes"]["log"]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4]
    first_updates = log[::2]
    assert all(entry["illegal_answers"] == 0 for entry in first_updates)
    # Of the second step too: the engine has taken over what the first one has trained.
    assert all(entry["sampling_gap"] < ROUNDING for entry in first_updates)
    assert not torch.equal(weights(policy), weights(trained))
