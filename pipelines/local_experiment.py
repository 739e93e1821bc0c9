"""Run the experiment pipeline on this machine, through KFP's local runner: the same definition as on a cluster.

runs/experiments/
    20261125-161502-movielens-100k-laptop/   comparison.json  comparison.html  run.log
    latest -> the newest finished experiment
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from gream.evaluation.experiment import Comparison
from gream.evaluation.variants import parse_variants
from gream.stages.store import open_run
from pipelines.experiment import experiment_pipeline
from pipelines.local_runner import absolute, finished_run, published_folder, run_name


@dataclass(frozen=True)
class ExperimentRequest:
    """What to run. The fields are those of `pipelines.experiment.experiment_pipeline`, with a place for the results.

    Attributes:
        out: folder that receives the experiment's folder and `latest`.
    """

    variants: tuple[str, ...]
    data: str
    profile: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    seen_items: str
    workspace: Path
    out: Path


def run_experiment(request: ExperimentRequest) -> tuple[Path, Comparison]:
    """Run all variants, one after the other; the experiment's folder and the comparison.

    Raises:
        ConfigError: a variant, the profile or an override is not allowed: said before anything runs.
        StoreError, RunError: a step failed, see `finished_run`.
    """
    workspace = request.workspace.resolve()
    for variant in parse_variants(request.variants, request.seeds):
        own = (*request.overrides, *variant.overrides)
        profile = open_run(request.profile, own, max(request.seeds), str(workspace)).profile
    name = run_name(request.data, profile.name)
    arguments = {
        "variants": list(request.variants),
        "data": absolute(request.data),
        "profile": absolute(request.profile) if request.profile.endswith(".toml") else request.profile,
        "overrides": list(request.overrides),
        "seeds": list(request.seeds),
        "seen_items": request.seen_items,
        "workspace": str(workspace),
    }
    with (
        finished_run(experiment_pipeline, name, workspace, arguments) as run,
        published_folder(request.out / name) as folder,
    ):
        shutil.copyfile(run.outputs["comparison"].path, folder / "comparison.json")
        shutil.copyfile(run.outputs["report"].path, folder / "comparison.html")
        shutil.copyfile(run.log, folder / "run.log")
        comparison = Comparison.model_validate_json((folder / "comparison.json").read_text(encoding="utf-8"))
    return request.out / name, comparison
