"""Run the retraining pipeline on this machine, through KFP's local runner: the same definition as on a cluster.

runs/retraining/
    20261125-041502-catalog-laptop/   verdict.json  verdict.html  run.log
    latest -> the newest finished run
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gream.monitoring.entries import Result
from gream.objectstore.uri import is_store_uri
from gream.stages.gate import PAGE, VERDICT
from gream.stages.store import open_run
from pipelines.local_runner import absolute, finished_run, published_folder, run_name
from pipelines.retraining import retraining_pipeline


@dataclass(frozen=True)
class RetrainRequest:
    """What to run. The fields are those of `pipelines.retraining.retraining_pipeline`, with a place for the results.

    Attributes:
        out: folder that receives the run's folder and `latest`.
    """

    champion: str
    data: str
    evidence: str
    until: int
    hold_out_since: int
    action: str
    profile: str
    overrides: tuple[str, ...]
    seed: int
    workspace: Path
    out: Path
    decision: str = ""
    decisions: str = ""
    canary: str = ""
    items: str = ""


@dataclass(frozen=True)
class RetrainResult:
    """How a run ended.

    Attributes:
        result: as the record of decisions has it: promoted, indexed, refused, or failed where somebody gave it up; or
            "on trial", where it goes on.
        text: a sentence.
        folder: with the gate's verdict and page, and the log.
    """

    result: Result | Literal["on trial"]
    text: str
    folder: Path


def retrain_locally(request: RetrainRequest) -> RetrainResult:
    """Run the retraining pipeline.

    The same request again finds what was done: after a kill it goes on, and nothing is promoted or recorded twice.

    Raises:
        ConfigError: the profile or an override is not allowed.
        StoreError, RunError: a step failed, see `finished_run`.
    """
    profile = open_run(request.profile, request.overrides, request.seed, str(request.workspace)).profile
    name, workspace = run_name(request.data, profile.name), request.workspace.resolve()
    arguments = {
        "champion": _in_full(request.champion),
        "data": absolute(request.data),
        "evidence": absolute(request.evidence),
        "until": request.until,
        "hold_out_since": request.hold_out_since,
        "action": request.action,
        "decision": request.decision,
        "decisions": _in_full(request.decisions),
        "canary": _in_full(request.canary),
        "items": absolute(request.items),
        "profile": absolute(request.profile) if request.profile.endswith(".toml") else request.profile,
        "overrides": list(request.overrides),
        "seed": request.seed,
        "workspace": str(workspace),
    }
    with (
        finished_run(retraining_pipeline, name, workspace, arguments) as run,
        published_folder(request.out / name) as folder,
    ):
        judged = workspace / "gate" / run.outputs["gate"]
        for file in (VERDICT, PAGE):
            shutil.copyfile(judged / file, folder / file)
        shutil.copyfile(run.log, folder / "run.log")
        return RetrainResult(run.outputs["result"], run.outputs["text"], request.out / name)


def _in_full(place: str) -> str:
    """A place that need not exist yet, as steps in other processes find it."""
    return place if not place or is_store_uri(place) else str(Path(place).resolve())
