"""How a training stage is done: by this process, or by several that train together.

A stage describes its work as a `TrainingJob` and hands it to a launcher. The store's promises are kept by the process
that launches: it holds the lock, finds what an earlier attempt has left in the work folder, and moves the finished
policy into place. The processes that train only write to the work folder, checkpoints and at last the policy: what they
save there after the process that launched them was killed is found by its next attempt.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from gream.artifacts import write_text_atomic
from gream.config import Profile
from gream.errors import GreamError

JOB: Final = "job.json"
NOTES: Final = "notes.json"
FAILURE: Final = "failure.txt"
WORKER: Final = "gream.stages.worker"


class TrainingError(GreamError):
    """Processes that trained together did not come to an end."""


class TrainingJob(BaseModel):
    """Everything that processes need to know to train.

    Attributes:
        stage: whose work this is.
        inputs: artifact folders, by the names that the stage's recipe has for them.
        profile: every setting.
        seed: of every random choice.
        work: folder that outlives a kill, for checkpoints; all processes see it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["sft", "srpo"]
    inputs: dict[str, Path]
    profile: Profile
    seed: int
    work: Path

    @property
    def policy(self) -> Path:
        """Where the policy is to be saved."""
        return self.work / "policy"

    def do(self) -> dict[str, Any]:
        """Train, as one of the processes that are meant to; the notes for `gream.stages.store.stage_facts`."""
        if self.stage == "sft":
            from gream.stages import sft

            return sft.train(self)
        from gream.stages import srpo

        return srpo.train(self)

    def file(self) -> Path:
        """Write the job down for processes that start; what an earlier attempt said of itself is forgotten."""
        for name in (NOTES, FAILURE):
            (self.work / name).unlink(missing_ok=True)
        write_text_atomic(self.work / JOB, self.model_dump_json(indent=2) + "\n")
        return self.work / JOB

    def notes(self) -> dict[str, Any]:
        """What the processes noted when they had ended.

        Raises:
            TrainingError: they failed, with the message of one that failed for a reason meant to be read.
        """
        # First: beside them, a failure is one that processes which were started again have overcome.
        if (self.work / NOTES).is_file():
            notes: dict[str, Any] = json.loads((self.work / NOTES).read_text(encoding="utf-8"))
            return notes
        if (self.work / FAILURE).is_file():
            raise TrainingError((self.work / FAILURE).read_text(encoding="utf-8"))
        raise TrainingError(f"the processes that trained {self.stage} ended early; what they printed says why.")


class Launcher(Protocol):
    """Does a job."""

    @property
    def processes(self) -> int:
        """That train together: they take as many batches at a time, so their number decides the result."""
        ...

    def launch(self, job: TrainingJob) -> dict[str, Any]:
        """Do a job to its end; its notes.

        Raises:
            TrainingError: processes failed.
        """
        ...


@dataclass(frozen=True)
class Here:
    """This process alone."""

    processes: ClassVar[int] = 1

    def launch(self, job: TrainingJob) -> dict[str, Any]:
        """See `Launcher`."""
        return job.do()


HERE: Final = Here()


@dataclass(frozen=True)
class Torchrun:
    """Several processes on this machine, one for each accelerator, started by `torchrun`."""

    processes: int

    def launch(self, job: TrainingJob) -> dict[str, Any]:
        """See `Launcher`."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*torchrun, f"--nproc-per-node={self.processes}", "-m", WORKER, str(job.file())]
        subprocess.run(command, check=False)
        return job.notes()


def on_this_machine(processes: int) -> Launcher:
    """The launcher for so many processes here."""
    return HERE if processes == 1 else Torchrun(processes)
