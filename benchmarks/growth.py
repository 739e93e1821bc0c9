"""How time and memory of each stage grow with the shop: from 1,000 to 1,000,000 users and items, on simulated shops.

    python -m benchmarks.growth [--sizes 1000 --sizes 10000] [--keep]

Each stage runs in a process of its own (`benchmarks.growth_stages`), once, after a warm-up on a small shop. The
exponent is the slope of the logarithms, between the two largest sizes and over all: 1 is in proportion. `--keep` writes
the points to benchmarks/growth.json and draws docs/images/growth.svg. All four sizes take 20 minutes.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from benchmarks.growth_figure import draw
from benchmarks.growth_points import Point, table
from benchmarks.growth_stages import LARGEST, MADE_UP, STAGES

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
WARM_UP: Final = 200
KEPT: Final = Path(__file__).with_name("growth.json")
FIGURE: Final = KEPT.parents[1] / "docs" / "images" / "growth.svg"


@click.command(help=__doc__)
@click.option("--sizes", multiple=True, type=click.IntRange(min=WARM_UP + 1), default=SIZES, show_default=True)
@click.option("--keep", is_flag=True, help="Write benchmarks/growth.json and docs/images/growth.svg.")
def main(sizes: tuple[int, ...], keep: bool) -> None:
    points = []
    with tempfile.TemporaryDirectory() as shops:
        for point in measure(sorted(set(sizes)), Path(shops)):
            click.echo(f"{point.size:>9,}  {point.stage:<14}{point.seconds:10.3f} s{point.mib:10.1f} MiB", err=True)
            points.append(point)
    click.echo(table(points))
    if keep:
        KEPT.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n", encoding="utf-8")
        FIGURE.write_text(draw(points) + "\n", encoding="utf-8")


def measure(sizes: Sequence[int], shops: Path) -> Iterator[Point]:
    """Every stage at every size that it is measured at; the shops and what stages leave go into folders of `shops`."""
    for size in (WARM_UP, *sizes):
        for stage in STAGES:
            if size > LARGEST.get(stage, size):
                continue
            command = [sys.executable, "-m", "benchmarks.growth_stages", stage]
            process = subprocess.run(
                [*command, str(shops / str(size)), str(shops / str(WARM_UP))], stdout=subprocess.PIPE, check=True
            )
            if size != WARM_UP and stage not in MADE_UP:
                yield Point(stage, size, **json.loads(process.stdout))


if __name__ == "__main__":
    main()
