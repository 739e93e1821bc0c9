"""Run the training pipeline on this machine, through KFP's local runner: the same definition as on a cluster.

    runs/
        20261123-161502-movielens-100k-laptop/   metrics.json  report.html  policy/  catalog/  run.log
        latest -> the newest finished run
        workspace/                               outputs and checkpoints of the stages, logs of unfinished runs

A run's folder appears when the run is finished, complete. Until then everything is in the workspace, from where the
next attempt continues.
"""

import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kfp import local

from gream.errors import GreamError
from gream.stages.store import open_run
from pipelines.console import StageConsole
from pipelines.training import PIPELINE_NAME, training_pipeline


class RunError(GreamError):
    """A step of a local run failed."""


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
        RunError: a step failed; the message is that of the step, with the place of the full log.
    """
    profile = open_run(request.profile, request.overrides, request.seed, str(request.workspace)).profile
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{_slug(Path(request.data).name)}-{_slug(profile.name)}"
    workspace = request.workspace.resolve()
    log = workspace / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    kfp_root = workspace / "kfp" / name
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(kfp_root))
    with _console(log) as console:
        try:
            outputs = training_pipeline(
                data=_absolute(request.data),
                profile=_absolute(request.profile) if request.profile.endswith(".toml") else request.profile,
                overrides=list(request.overrides),
                seed=request.seed,
                seen_items=request.seen_items,
                shares=request.shares,
                workspace=str(workspace),
            ).outputs
        except RuntimeError as error:
            message = console.error or "it ended without a message that is meant to be read."
            raise RunError(f"{_failed_step(str(error))}: {message} Everything that was printed: {log}") from error
    folder = _publish(request.out / name, {key: Path(artifact.path) for key, artifact in outputs.items()}, log)
    shutil.rmtree(kfp_root)
    _point(request.out / "latest", folder)
    return folder


@contextmanager
def _console(log: Path) -> Iterator[StageConsole]:
    # The steps write into a pipe: a fixed width and one update a second keep their bars legible there.
    os.environ |= {"TQDM_NCOLS": "100", "TQDM_MININTERVAL": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("w", encoding="utf-8") as file, warnings.catch_warnings():
        # Images and display names are for clusters; that they mean nothing here is no news.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message="Task .* have no effect in the current local runner")
        console = StageConsole(sys.stderr, file)
        with redirect_stdout(console):
            yield console


def _failed_step(message: str) -> str:
    """The name of the step in KFP's own error message, which comes with terminal colours."""
    names = re.findall(r"'([\w-]+)'", message)
    steps = [name for name in names if name != PIPELINE_NAME]
    return f"step {steps[0]!r} failed" if steps else "the run failed"


def _publish(target: Path, outputs: dict[str, Path], log: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.partial-"))
    outputs["policy"].rename(staging / "policy")
    outputs["catalog"].rename(staging / "catalog")
    shutil.copyfile(outputs["report"], staging / "report.html")
    shutil.copyfile(outputs["metrics"], staging / "metrics.json")
    shutil.copyfile(log, staging / "run.log")
    staging.chmod(0o755)
    return staging.rename(target)


def _point(link: Path, folder: Path) -> None:
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(folder.name)
    fresh.replace(link)


def _absolute(text: str) -> str:
    """Steps run in processes of their own: a path that exists here is given to them in full."""
    path = Path(text)
    return str(path.resolve()) if path.exists() else text


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"
