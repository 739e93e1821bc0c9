"""Checkpoints of the trainers: which one a killed run goes on from, and what happens when one has been written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from gream.training.processes import process_number, wait_for_others


def last_complete_checkpoint(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end; half-written ones (a kill while saving) are removed.

    The trainer writes `trainer_state.json` last. Where several processes train, the first one alone removes, before the
    others look.
    """
    if process_number() > 0:
        wait_for_others()
    complete: Path | None = None
    for folder in sorted(checkpoints.glob("checkpoint-*"), key=_step):
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            complete = folder
        except (FileNotFoundError, json.JSONDecodeError):
            shutil.rmtree(folder)
    if process_number() == 0:
        wait_for_others()
    return str(complete) if complete else None


class AfterCheckpoint(TrainerCallback):
    """Each time that the trainer has written a checkpoint, the first process removes older ones and calls a function.

    Every process writes its part of a checkpoint: the first one waits for all parts, and the others for it. (The
    trainer's own limit goes by the folders' times: where a clock was set back, the newest is not the latest.)
    """

    def __init__(self, then: Callable[[], None] | None) -> None:
        self._then = then

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """The trainer's signal."""
        wait_for_others()
        if state.is_world_process_zero:
            for folder in Path(args.output_dir).glob("checkpoint-*"):
                if _step(folder) < state.global_step:
                    shutil.rmtree(folder, ignore_errors=True)  # What cannot go now goes after the next one.
            if self._then is not None:
                self._then()
        wait_for_others()


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
