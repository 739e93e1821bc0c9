"""How often items share all their codes: by titles alone, with descriptions and profiles, and where texts are scarce.

    python -m benchmarks.collisions --data BEAUTY \\
        --variant "4 x 256, as in the paper: index.levels=4 index.codebook_size=256 index.collaborative_weight=0.0" \\
        [--removed 0.5 ...] [--seed 0]

One line for each variant and each share of items whose texts but for the title are removed: the collisions of all
items, of an index of the same size that sees titles alone, and of the items whose profile says hardly more than a
title. Indices are kept in the workspace.
"""

from typing import Any, Final

import click

from benchmarks.command import Benchmark
from gream.evaluation.variants import parse_variant
from gream.indexing.collision_limit import AUDIT
from gream.indexing.semantic_index import SemanticIndex
from gream.stages.chain import run_until
from gream.stages.store import open_run

COLUMNS: Final = ("texts removed", "all items", "titles alone", "minimal items", "of these")
SCARCITY: Final = (0.0, 0.25, 0.5, 0.75)


@click.command(cls=Benchmark, help=__doc__)
@click.option("--data", required=True, help="What `gream run --data` takes.")
@click.option("--variant", "variants", multiple=True, default=("laptop:",), show_default=True, help="As above.")
@click.option(
    "--removed",
    multiple=True,
    default=SCARCITY,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Shares of the items that keep their title alone.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--workspace", default="runs/workspace", show_default=True)
def main(data: str, variants: tuple[str, ...], removed: tuple[float, ...], seed: int, workspace: str) -> None:
    for variant in map(parse_variant, variants):
        click.echo(f"\n{variant.name}\n" + "".join(f"{column:>15}" for column in COLUMNS))
        for share in removed:
            context = open_run("laptop", (*variant.overrides, f"data.texts_removed={share}"), seed, workspace)
            audit = SemanticIndex.load(run_until("index", data, "as-dataset", context)).facts[AUDIT]
            click.echo("".join(f"{cell:>15}" for cell in _cells(share, audit)))


def _cells(removed: float, audit: dict[str, Any]) -> list[str]:
    all_items, titles_alone, of_minimal = (
        "" if audit[rate] is None else f"{audit[rate]:.2%}"
        for rate in ("collision_rate", "title_only_collision_rate", "minimal_collision_rate")
    )
    return [f"{removed:.0%}", all_items, titles_alone, f"{audit['minimal_items']:,}", of_minimal]


if __name__ == "__main__":
    main()
