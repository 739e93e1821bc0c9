"""Metrics that the processes of one server share: each writes files into one folder, and all show what lies there."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Under `bentoml serve` all processes write into the folder named here: `/metrics` shows the engine's counts too."""


def forget_the_dead() -> None:
    """Drop the gauges of killed processes: what was in flight or waiting there is not any more."""
    for file in Path(os.environ.get(SHARED_FOLDER, os.devnull)).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            with suppress(FileNotFoundError):  # Another process that starts does the same.
                mark_process_dead(pid)  # type: ignore[no-untyped-call]
