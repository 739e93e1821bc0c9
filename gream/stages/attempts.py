"""How long the attempts at a stage's output took, over kills and over machines: `attempt.json` in its work folder."""

import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from gream.artifacts import write_text_atomic

MARK: Final = "attempt.json"


class _Attempt(BaseModel):
    """When the running attempt started, and the seconds of all that were before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    started: float
    earlier: float

    @classmethod
    def read(cls, work: Path) -> "_Attempt":
        return cls.model_validate_json((work / MARK).read_text(encoding="utf-8"))

    def write(self, work: Path) -> None:
        write_text_atomic(work / MARK, self.model_dump_json() + "\n")


def begin_attempt(work: Path) -> float:
    """Mark the start of an attempt in its work folder.

    Returns:
        Seconds that killed attempts put into what they left there: for each, from its start to its last file.
    """
    earlier = 0.0
    if (work / MARK).is_file():
        killed = _Attempt.read(work)
        newest = max(path.stat().st_mtime for path in work.rglob("*"))
        earlier = killed.earlier + max(0.0, newest - killed.started)
    work.mkdir(exist_ok=True)
    _Attempt(started=time.time(), earlier=earlier).write(work)
    return earlier


def take_lap(work: Path) -> None:
    """Count what the running attempt took so far among the earlier seconds, before the folder is copied elsewhere."""
    running, now = _Attempt.read(work), time.time()
    _Attempt(started=now, earlier=running.earlier + now - running.started).write(work)


def restart_clock(work: Path) -> None:
    """Let the attempt start now: its folder came from elsewhere, and the times of its files say nothing."""
    _Attempt(started=time.time(), earlier=_Attempt.read(work).earlier).write(work)
