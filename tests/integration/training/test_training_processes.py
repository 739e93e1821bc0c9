"""Two processes on this CPU (gloo) train as one, each with its own batches and prompts, launched by the stages."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kfp.dsl import TaskConfig
from kubernetes import client
from kubernetes_stub import kubernetes_stub
from training_shop import run_of, weights
from transformers import AutoModelForCausalLM

from gream.artifacts import content_digest, open_artifact
from gream.errors import ConfigError, DataError
from gream.stages import corpora, enrich, sft, srpo
from gream.stages.launch import Here, Torchrun, TrainingError
from gream.stages.store import stage_facts
from pipelines.trainjob import of_step
from pipelines.trainjob_launcher import TrainJobLauncher

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def trained_by_two(prepared):
    workspace, *inputs = prepared
    return sft.run(*inputs, run_of(workspace), Torchrun(2))


def test_two_processes_train_like_one_that_accumulates_two_batches(prepared, trained_by_two):
    """The batches differ in size, and their number is odd: none is lost, and the last one has company."""
    workspace, *inputs = prepared
    alone = sft.run(*inputs, run_of(workspace, "sft.gradient_accumulation=2"), Here())
    two, one = (stage_facts(policy)["notes"]["log"] for policy in (trained_by_two, alone))
    assert len(two) in (len(one), len(one) + 1)
    losses = [[entry["loss"] for entry in log[: len(one) - 1]] for log in (two, one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    untrained = weights(sft.run(*inputs, run_of(workspace, "sft.learning_rate=1e-12"), Here()))
    moved = (weights(alone) - untrained).norm()
    assert (weights(trained_by_two) - weights(alone)).norm() < 0.1 * moved


def test_two_nodes_of_a_trainjob_make_what_two_processes_make(prepared, trained_by_two, tmp_path):
    """Trainer is stood in for: the pods' command runs here, twice, with the environment that Trainer gives."""
    _, *inputs = prepared
    for folder in inputs:
        link = tmp_path / folder.parent.name / folder.name
        link.parent.mkdir()
        link.symlink_to(folder)

    def run_nodes(manifest):
        trainer = manifest["spec"]["trainer"]
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        meeting = {"PET_NNODES": str(trainer["numNodes"]), "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"])}
        meeting |= {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(port)}
        command = [sys.executable, *trainer["command"][1:]]
        nodes = [
            subprocess.Popen(command, env=os.environ | meeting | {"PET_NODE_RANK": str(rank)})
            for rank in range(trainer["numNodes"])
        ]
        codes = [node.wait() for node in nodes]
        ended = "Failed" if any(codes) else "Complete"
        manifest["status"] = {"conditions": [{"type": ended, "status": "True"}]}

    with kubernetes_stub() as cluster:
        cluster.on_create = run_nodes
        template = replace(of_step(TaskConfig(), "gream/train:0.1.0", 2, 1, ""), namespace="team-a")
        launcher = TrainJobLauncher(template, client.CustomObjectsApi(cluster.api()), poll_s=0.01)
        policy = sft.run(*inputs, run_of(tmp_path), launcher)
    assert policy.name == trained_by_two.name
    assert content_digest(policy) == content_digest(trained_by_two)


def test_number_of_processes_is_part_of_what_was_made(prepared, trained_by_two, capsys):
    workspace, *inputs = prepared
    assert sft.run(*inputs, run_of(workspace), Torchrun(2)) == trained_by_two
    assert capsys.readouterr().err == "[5/8 sft] done already, reused\n"
    assert stage_facts(trained_by_two)["settings"]["processes"] == 2
    open_artifact(trained_by_two, "policy")


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_reinforcement_by_two_processes(prepared, trained_by_two, sharding):
    workspace, *_, corpus = prepared
    policy = srpo.run(corpus, trained_by_two, run_of(workspace, f"srpo.sharding={sharding}"), Torchrun(2))
    log = stage_facts(policy)["notes"]["log"]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4]
    assert all(entry["illegal_answers"] == 0 for entry in log if "illegal_answers" in entry)
    assert not torch.equal(weights(policy), weights(trained_by_two))


@pytest.mark.parametrize(
    ("launcher", "settings"),
    [(Here(), []), (Here(), ["sft.method=lora"]), (Torchrun(2), ["sft.sharding=full", "srpo.sharding=full"])],
    ids=["full", "lora", "in pieces"],
)
def test_policies_are_kept_in_the_type_of_their_profile(prepared, launcher, settings):
    """They are trained in float32 (`gream.training.precision`)."""
    workspace, *inputs = prepared
    context = run_of(workspace, "model.dtype=bfloat16", "sft.precision=bf16", "srpo.precision=bf16", *settings)
    tuned = sft.run(*inputs, context, launcher)
    reinforced = srpo.run(inputs[-1], tuned, context, launcher)
    for policy in (tuned, reinforced):
        assert AutoModelForCausalLM.from_pretrained(policy, dtype="auto").dtype == torch.bfloat16
    assert not torch.equal(weights(reinforced), weights(tuned))


def test_the_policy_is_read_into_host_memory(prepared, trained_by_two, monkeypatch):
    """To every process "cuda" is the first GPU; the trainer alone knows which one is its own."""
    workspace, *_, corpus = prepared
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # A policy that went there would be an error here.
    srpo.run(corpus, trained_by_two, run_of(workspace, "srpo.steps=0"))


def test_corpus_without_prompts_is_no_silent_success(prepared, trained_by_two):
    workspace, catalog, semantic_index, _ = prepared
    context = run_of(workspace, "corpus.rl_prompts=0")
    empty = corpora.run(catalog, enrich.run(catalog, context), semantic_index, context)
    with pytest.raises(DataError, match="the corpus has no RL prompts"):
        srpo.run(empty, trained_by_two, context)


def test_vllm_that_is_not_installed_is_named_before_anything_is_loaded(prepared, trained_by_two, monkeypatch):
    workspace, *_, corpus = prepared
    monkeypatch.setattr(srpo, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"srpo.rollouts = vllm needs vLLM.*install gream\[vllm\]"):
        srpo.run(corpus, trained_by_two, run_of(workspace, "srpo.rollouts=vllm"))


def test_vllm_that_cannot_choose_among_the_codes_is_named_before_it_starts(prepared, trained_by_two, monkeypatch):
    workspace, *_, corpus = prepared
    monkeypatch.setattr(srpo, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("gream.decoding.batching.GPU_CHOICES", 2)
    with pytest.raises(ConfigError, match=r"at most 2 tokens on a GPU, but [3-8] may follow.*srpo.rollouts=transform"):
        srpo.run(corpus, trained_by_two, run_of(workspace, "srpo.rollouts=vllm"))


def test_failure_of_a_process_is_one_sentence_and_leaves_nothing(prepared, trained_by_two):
    workspace, *_, corpus = prepared
    context = run_of(workspace, "srpo.prompts_per_step=3", "srpo.updates_per_step=3")
    with pytest.raises(TrainingError, match=r"srpo.prompts_per_step = 3 in 3 updates cannot be shared by 2 processes"):
        srpo.run(corpus, trained_by_two, context, Torchrun(2))
    made = {folder.name for folder in (workspace / "srpo").iterdir() if folder.suffix == ""}
    assert not any((workspace / "srpo" / f"{name}.work").exists() for name in made)


def test_model_in_pieces():
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("training_pieces.py")
    result = subprocess.run([*torchrun, str(script)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
