"""Pipelines through KFP's local runner: the same definitions as on a cluster, each step a process of this machine.

Until a run is finished everything is in the workspace, from where the next attempt continues. A run's folder appears
when the run is finished, complete, and `latest` points to the newest one.
"""

import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from kfp import local

from gream.artifacts import partial_folder
from gream.errors import GreamError, StoreError
from gream.locks import held_if_free, locked
from pipelines.console import StageConsole


class RunError(GreamError):
    """A step of a local run failed."""


@dataclass(frozen=True)
class FinishedRun:
    """A run whose steps have all ended well.

    Attributes:
        outputs: of the pipeline: texts, and artifacts of KFP, which go when the caller is done with them.
        log: file with everything that was printed.
    """

    outputs: Mapping[str, Any]
    log: Path


@contextmanager
def finished_run(pipeline: Any, name: str, workspace: Path, arguments: Mapping[str, Any]) -> Iterator[FinishedRun]:
    """Run a pipeline to its end.

    Args:
        pipeline: as KFP's decorator has made it.
        name: of the run, with which the name of its log begins.
        workspace: the workspace; absolute.
        arguments: of the pipeline.

    Raises:
        StoreError: a store did not answer a step, or refused; the same run goes on from there.
        RunError: a step failed otherwise. Both messages are that of the step, with the place of the full log.
    """
    logs = workspace / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with _kfp_root(workspace / "kfp", name) as kfp_root:
        log = logs / f"{kfp_root.name}.log"
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(kfp_root))
        with _console(log) as console:
            try:
                outputs = pipeline(**arguments).outputs
            except RuntimeError as error:
                message = console.error or "it ended without a message that is meant to be read."
                step = _failed_step(str(error), pipeline.pipeline_spec.pipeline_info.name)
                kind = StoreError if console.store_failed else RunError
                raise kind(f"{step}: {message} Everything that was printed: {log}") from error
        yield FinishedRun(outputs, log)


def run_name(data: str, profile: str) -> str:
    """The name of a run that starts now.

    Args:
        data: what it is about.
        profile: name of its profile.
    """
    what = Path(data).name.partition("@")[0]  # Without the 64 digits of a version in a store.
    return f"{datetime.now():%Y%m%d-%H%M%S}-{_slug(what)}-{_slug(profile)}"


@contextmanager
def published_folder(target: Path) -> Iterator[Path]:
    """An empty folder that becomes a run's folder, and `latest` beside it, when it is filled."""
    with partial_folder(target) as staging:
        yield staging
        staging.chmod(0o755)
        staging.rename(target)
    _point(target.parent / "latest", target)


def absolute(text: str) -> str:
    """Steps run in processes of their own: a path that exists here is given to them in full."""
    path = Path(text)
    return str(path.resolve()) if text and path.exists() else text


@contextmanager
def _kfp_root(roots: Path, name: str) -> Iterator[Path]:
    """A folder for KFP's outputs, which goes when the run ends; that of a run that was killed goes now.

    Most of them are hard links to outputs of stages: as long as they are there, tidying the workspace frees no room.
    """
    for lock in roots.glob("*.lock"):
        with held_if_free(lock) as free:
            if free:
                _delete_root(lock)
    # Runs that start in the same second have one name; neither may take away what the other is reading.
    root = roots / f"{name}-{uuid4().hex[:8]}"
    lock = root.with_name(f"{root.name}.lock")
    with locked(lock):
        try:
            root.mkdir()
            yield root
        finally:
            _delete_root(lock)


def _delete_root(lock: Path) -> None:
    """Delete the folder that a lock guards, then the lock: what cannot be deleted now is found by the next run."""
    root = lock.with_name(lock.name.removesuffix(".lock"))
    shutil.rmtree(root, ignore_errors=True)
    if not root.exists():
        lock.unlink(missing_ok=True)


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


def _failed_step(message: str, pipeline: str) -> str:
    """The name of the step in KFP's own error message, which comes with terminal colours."""
    names = re.findall(r"'([\w-]+)'", message)
    steps = [name for name in names if name != pipeline]
    return f"step {steps[0]!r} failed" if steps else "the run failed"


def _point(link: Path, folder: Path) -> None:
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(folder.name)
    fresh.replace(link)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"
