"""Every benchmark that needs no GPU and no cluster, as one table of ratios: ours against the named peer.

    make bench        (python -m benchmarks [--keep])

Each line is of this run: the median of its rounds, the smallest and the largest. Beside it stands the ratio that is
committed; one that lost more than a fifth is told of at the end. `--keep` commits this run's. The load test serves the
policy that `make demo` leaves, and is left out where there is none.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from benchmarks import table
from benchmarks.ratio import Ratio

MODULES: Final = ("clustering", "beam_search", "overhead")
SERVED: Final = Path("runs/latest/policy")


@click.command(help=__doc__)
@click.option("--keep", is_flag=True, help="Write benchmarks/table.json, for the next run to compare with.")
def main(keep: bool) -> None:
    ratios = list(measure())
    click.echo("\n" + table.render(ratios, table.load(table.COMMITTED) if table.COMMITTED.exists() else []))
    if keep:
        table.save(table.COMMITTED, ratios)
        click.echo(f"\nKept in {table.COMMITTED.name}.")


def measure() -> Iterator[Ratio]:
    """All ratios, told as they come."""
    modules = (*MODULES, "serving") if SERVED.exists() else MODULES
    for name in modules:
        click.echo(f"[{name}]", err=True)
        for ratio in import_module(f"benchmarks.{name}").ratios():
            click.echo(f"    {ratio.name}: {ratio.ratio:.2f}", err=True)
            yield ratio
    if not SERVED.exists():
        click.echo(f"Without {SERVED} nothing can be served: run `make demo` first for the load test.", err=True)


if __name__ == "__main__":
    main()
