"""Run the training pipeline on this machine, through KFP's local runner: the same definition as on a cluster.

runs/
    20261123-161502-movielens-100k-laptop/   metrics.json  report.html  policy/  catalog/  run.log
    latest -> the newest finished run
    workspace/                               outputs and checkpoints of the stages, logs of unfinished runs
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from gream.stages.store import open_run
from pipelines.local_runner import absolute, finished_run, published_folder, run_name
from pipelines.training import training_pipeline


@dataclass(frozen=True)
class LocalRun:
    """What to run. The fields are those of `pipelines.training.training_pipeline`, with a place for the results.

    Attributes:
        out: folder that receives the run's folder and `latest`.
    """

    data: str
    profile: str
    overrides: tuple[str, ...]
    seed: int
    seen_items: str
    workspace: Path
    out: Path
    shares: int = 1


def run_locally(request: LocalRun) -> Path:
    """Run the training pipeline.

    Returns:
        The run's folder, which `out/latest` points to.

    Raises:
        ConfigError: the profile or an override is not allowed.
        StoreError, RunError: a step failed, see `finished_run`.
    """
    profile = open_run(request.profile, request.overrides, request.seed, str(request.workspace)).profile
    name, workspace = run_name(request.data, profile.name), request.workspace.resolve()
    arguments = {
        "data": absolute(request.data),
        "profile": absolute(request.profile) if request.profile.endswith(".toml") else request.profile,
        "overrides": list(request.overrides),
        "seed": request.seed,
        "seen_items": request.seen_items,
        "shares": request.shares,
        "workspace": str(workspace),
    }
    with (
        finished_run(training_pipeline, name, workspace, arguments) as run,
        published_folder(request.out / name) as folder,
    ):
        # The results may be on another file system than the workspace.
        shutil.move(run.outputs["policy"].path, folder / "policy")
        shutil.move(run.outputs["catalog"].path, folder / "catalog")
        shutil.copyfile(run.outputs["report"].path, folder / "report.html")
        shutil.copyfile(run.outputs["metrics"].path, folder / "metrics.json")
        shutil.copyfile(run.log, folder / "run.log")
    return request.out / name
