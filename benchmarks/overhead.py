"""What the pipeline costs beside its stages, and how soon the command answers.

    python -m benchmarks.overhead

A small simulated shop goes through `gream run` once; the wall clock is held against the seconds of the stages, as the
workspace has them (`metrics.json` leaves out what is done in shares, and the report). What is left is KFP's local
runner, the start of a process for each step, and imports: so many seconds whatever the size of the run. `import gream`
and `gream --help` are timed as fresh processes, the quickest of several.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
import polars as pl

from benchmarks.ratio import Ratio
from benchmarks.timing import rounds_of, timed
from gream.artifacts import MANIFEST
from gream.stages import measured as pieces
from gream.stages.store import STAGE_FILE, stage_facts

USERS, ITEMS, EVENTS = 300, 120, 20
SETTINGS: Final = (
    *("model.hidden_size=64", "model.heads=2", "model.intermediate_size=128", "corpus.seqrec_passes=4"),
    *("corpus.itemsearch_samples=200", "corpus.reasoning_samples=400", "srpo.steps=4"),
    *("evaluation.reasoning_users=50", "evaluation.sasrec_epochs=1"),
)
DEMO_SECONDS: Final = 600
"""About what the stages of `make demo` take."""
GREAM = str(Path(sys.executable).with_name("gream"))


@dataclass(frozen=True)
class Measured:
    """Seconds: of a run and of its stages, and of fresh processes."""

    run: float
    stages: float
    plain: list[float]
    imported: list[float]
    help: list[float]


def shop(folder: Path) -> None:
    """Users walk along a ring of items."""
    random = np.random.default_rng(0)
    steps = random.integers(1, 4, (USERS, EVENTS)).cumsum(axis=1) + random.integers(0, ITEMS, (USERS, 1))
    events = {
        "user_id": [f"u{user}" for user in range(USERS) for _ in range(EVENTS)],
        "item_id": [f"i{item}" for item in (steps % ITEMS).ravel()],
        "timestamp": [1_700_000_000 + step for _ in range(USERS) for step in range(EVENTS)],
    }
    pl.DataFrame(events).write_csv(folder / "interactions.csv")
    items = {"item_id": [f"i{n}" for n in range(ITEMS)], "title": [f"Lamp number {n}" for n in range(ITEMS)]}
    pl.DataFrame(items).write_csv(folder / "items.csv")


def stage_seconds(workspace: Path) -> float:
    """Of all outputs but the pieces of an evaluation, whose seconds the evaluation has among its own."""
    seconds = 0.0
    for file in workspace.glob(f"*/*/{STAGE_FILE}"):
        if json.loads((file.parent / MANIFEST).read_text(encoding="utf-8"))["kind"] != pieces.KIND:
            facts = stage_facts(file.parent)
            seconds += facts["seconds"][facts["stage"]]
    return seconds


def measure(rounds: int) -> Measured:
    """One run, and `rounds` of each short command."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        shop(home)
        command = [GREAM, "run", "--data", scratch, "--workspace", f"{scratch}/workspace", "--out", f"{scratch}/runs"]
        command += [word for setting in SETTINGS for word in ("--set", setting)]
        _, seconds = timed(lambda: subprocess.run(command, capture_output=True, check=True))
        of_stages = stage_seconds(home / "workspace")

    def process(*words: str) -> list[float]:
        return rounds_of(rounds, lambda: subprocess.run(words, capture_output=True, check=True))[1]

    return Measured(
        run=seconds,
        stages=of_stages,
        plain=process(sys.executable, "-c", "pass"),
        imported=process(sys.executable, "-c", "import gream"),
        help=process(GREAM, "--help"),
    )


def ratios(rounds: int = 5) -> list[Ratio]:
    """The stages beside the whole of a run like the demo's; a bare interpreter beside the command."""
    measured = measure(rounds)
    outside = measured.run - measured.stages
    share = DEMO_SECONDS / (DEMO_SECONDS + outside)
    return [
        Ratio(
            "stages of a ten-minute run beside the whole of it",
            share,
            share,
            share,
            f"{outside:.1f} s of {measured.run:.0f} s are outside the stages of a small run",
        ),
        Ratio.of_rounds(
            "gream --help beside a bare interpreter",
            measured.help,
            measured.plain,
            f"{min(measured.help):.3f} s and {min(measured.plain):.3f} s",
        ),
        Ratio.of_rounds(
            "import gream beside a bare interpreter",
            measured.imported,
            measured.plain,
            f"{min(measured.imported):.3f} s and {min(measured.plain):.3f} s",
        ),
    ]


@click.command(help=__doc__)
def main() -> None:
    for ratio in ratios():
        click.echo(f"{ratio.name}: {ratio.ratio:.2f} ({ratio.detail})")


if __name__ == "__main__":
    main()
