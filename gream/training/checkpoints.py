"""Checkpoints of the trainers: which one a killed run goes on from."""

import json
import shutil
from pathlib import Path


def last_complete_checkpoint(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end; half-written ones (a kill while saving) are removed.

    The trainer writes `trainer_state.json` last.
    """
    complete: Path | None = None
    for folder in sorted(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1])):
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            complete = folder
        except (FileNotFoundError, json.JSONDecodeError):
            shutil.rmtree(folder)
    return str(complete) if complete else None
