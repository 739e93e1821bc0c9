"""Steps of KFP that a run on one machine has not: what they are given reaches the stage, each thing in its place."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp.dsl import TaskConfig

from components.sft_job.component import sft_job
from components.srpo_job.component import srpo_job
from components.tidy.component import tidy
from gream.stages import sft, srpo
from gream.stages.mirror import Mirror
from pipelines.trainjob import of_step
from pipelines.trainjob_launcher import TrainJobLauncher

pytestmark = pytest.mark.unit

POD = TaskConfig(resources={"limits": {"nvidia.com/gpu": "8"}})
GIVEN = {"image": "gream/train:0.1.0", "nodes": 2, "processes": 8, "queue": "training", "profile": "laptop"}


@pytest.mark.parametrize(
    ("step", "stage", "inputs"),
    [
        (sft_job, sft, ("catalog", "semantic_index", "corpus", "champion")),
        (srpo_job, srpo, ("corpus", "sft_policy", "champion")),
        (sft_job, sft, ("catalog", "semantic_index", "corpus")),
        (srpo_job, srpo, ("corpus", "sft_policy")),
    ],
)
def test_a_training_step_hands_its_inputs_and_its_nodes_on(monkeypatch, tmp_path, step, stage, inputs):
    signature, asked, delivered = inspect.signature(stage.run), {}, []

    def run(*arguments):
        asked.update(signature.bind(*arguments).arguments)
        return tmp_path / "made"

    def deliver(made, target):
        delivered.append((made, target))
        return {"seconds": 7.0}

    monkeypatch.setattr(stage, "run", run)
    monkeypatch.setattr("gream.stages.store.deliver", deliver)
    monkeypatch.setattr(TrainJobLauncher, "in_cluster", lambda template: template)
    artifacts = {name: SimpleNamespace(path=f"/in/{name}") for name in inputs}
    policy = SimpleNamespace(path="/out/policy", metadata={})
    of_run = {"overrides": ["srpo.steps=3"], "seed": 7, "workspace": str(tmp_path)}
    step.python_func(**artifacts, policy=policy, pod=POD, **GIVEN, **of_run)
    context = asked.pop("context")
    assert (context.profile.srpo.steps, context.seed, context.workspace) == (3, 7, tmp_path)
    assert asked.pop("launcher") == of_step(POD, "gream/train:0.1.0", nodes=2, processes=8, queue="training")
    assert asked == {"champion": None} | {name: Path(f"/in/{name}") for name in inputs}
    assert delivered == [(tmp_path / "made", "/out/policy")]
    assert policy.metadata == {"seconds": 7.0}


@pytest.mark.parametrize("mirror", ["s3://gream/workspace", None])
def test_the_last_step_frees_the_workspace_and_its_mirror_of_what_is_as_old_as_it_was_told(
    monkeypatch, tmp_path, capsys, mirror
):
    asked = []

    def freed(answer):
        def free(*arguments):
            asked.append(arguments)
            return answer

        return free

    monkeypatch.setattr("gream.stages.tidy.tidy", freed([Path("/sft/a"), Path("/sft/b")]))
    monkeypatch.setattr("gream.stages.tidy.tidy_mirror", freed(["s3://gream/workspace/sft/c"]))
    monkeypatch.setattr(Mirror, "from_environment", lambda: mirror)
    tidy.python_func(SimpleNamespace(state="FAILED", error_message="no room"), str(tmp_path), 30)
    assert asked == [(tmp_path, 30), *([(mirror, 30)] if mirror else [])]
    assert capsys.readouterr().out.splitlines() == [
        "The run ended: FAILED. no room",
        f"Removed what is older than 30 days: 2 here, and {1 if mirror else 0} copies.",
        "/sft/a",
        "/sft/b",
        *(["s3://gream/workspace/sft/c"] if mirror else []),
    ]
