"""Two processes on this CPU (gloo) train as one, each with its own batches and prompts, launched by the stages."""

import os
import random
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
from transformers import AutoModelForCausalLM

from gream.artifacts import content_digest, open_artifact
from gream.errors import DataError
from gream.stages import corpora, enrich, index, ingest, sft, srpo
from gream.stages.launch import Here, Torchrun, TrainingError
from gream.stages.store import open_run, stage_facts
from pipelines.trainjob import of_step
from pipelines.trainjob_launcher import TrainJobLauncher

pytestmark = pytest.mark.integration

TINY = [
    *("data.k_core=0", "index.levels=2", "index.codebook_size=8", "index.collaborative_weight=0"),
    *("corpus.history_window=6", "corpus.seqrec_passes=2", "corpus.itemsearch_samples=20"),
    *("corpus.reasoning_samples=20", "corpus.reasoning_window=4", "corpus.rl_prompts=30"),
    *("model.hidden_size=32", "model.layers=1", "model.heads=2", "model.intermediate_size=64"),
    *("model.vocabulary=300", "model.dropout=0", "search.transition_prior=false"),
    *("sft.batch_tokens=256", "sft.precision=float32", "sft.log_steps=1", "sft.checkpoint_steps=3"),
    *("srpo.steps=2", "srpo.prompts_per_step=4", "srpo.updates_per_step=2", "srpo.group_size=5"),
    *("srpo.max_chain_tokens=16", "srpo.max_generation_rounds=2", "srpo.checkpoint_steps=1"),
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    rng = random.Random(0)
    items = [f"i{n},{['Oak', 'Steel'][n % 2]} {['lamp', 'chair', 'sofa'][n % 3]} {n}" for n in range(16)]
    events = [f"u{user},i{rng.randrange(16)},{1_000 + step}" for user in range(14) for step in range(9)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items]) + "\n")
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    return folder


@pytest.fixture(scope="module")
def prepared(shop, tmp_path_factory):
    """Workspace, catalog, index and corpus."""
    workspace = tmp_path_factory.mktemp("workspace")
    context = run_of(workspace)
    catalog = ingest.run(str(shop), "as-dataset", context)
    profiles = enrich.run(catalog, context)
    semantic_index = index.run(catalog, profiles, context)
    return workspace, catalog, semantic_index, corpora.run(catalog, profiles, semantic_index, context)


def run_of(workspace: Path, *settings: str):
    return open_run("laptop", [*TINY, *settings], seed=0, workspace=str(workspace))


def weights(policy: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(policy)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


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


def test_reinforcement_by_two_processes(prepared, trained_by_two):
    workspace, *_, corpus = prepared
    policy = srpo.run(corpus, trained_by_two, run_of(workspace), Torchrun(2))
    log = stage_facts(policy)["notes"]["log"]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4]
    assert all(entry["illegal_answers"] == 0 for entry in log if "illegal_answers" in entry)
    assert not torch.equal(weights(policy), weights(trained_by_two))


def test_corpus_without_prompts_is_no_silent_success(prepared, trained_by_two):
    workspace, catalog, semantic_index, _ = prepared
    context = run_of(workspace, "corpus.rl_prompts=0")
    empty = corpora.run(catalog, enrich.run(catalog, context), semantic_index, context)
    with pytest.raises(DataError, match="the corpus has no RL prompts"):
        srpo.run(empty, trained_by_two, context)


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
