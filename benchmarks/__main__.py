"""Every benchmark that needs no GPU and no cluster, as one table of ratios: ours against the named peer.

    make bench        (python -m benchmarks [--keep])

Each line is of this run: the median of its rounds, the smallest and the largest. Beside it stands the ratio that is
committed; one that lost more than a fifth is told of at the end. `--keep` commits this run's. SRPO and the load test go
out from the policy that `make demo` leaves, and are left out where there is none.
"""

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from benchmarks import table
from benchmarks.ratio import Ratio

MODULES: Final = ("clustering", "beam_search", "sft", "overhead")
ON_A_POLICY: Final = ("srpo", "serving")
"""What needs a policy that has learnt."""
SERVED: Final = Path("runs/latest/policy")


@click.command(help=__doc__)
@click.option("--keep", is_flag=True, help="Write benchmarks/table.json, for the next run to compare with.")
def main(keep: bool) -> None:
    with redirect_stdout(sys.stderr):  # What trainers log stays out of the table.
        ratios = list(measure())
    click.echo("\n" + table.render(ratios, table.load(table.COMMITTED) if table.COMMITTED.exists() else []))
    if keep:
        table.save(table.COMMITTED, ratios)
        click.echo(f"\nKept in {table.COMMITTED.name}.")


def measure() -> Iterator[Ratio]:
    """All ratios, told as they come."""
    modules = (*MODULES, *ON_A_POLICY) if SERVED.exists() else MODULES
    for name in modules:
        click.echo(f"[{name}]", err=True)
        for ratio in import_module(f"benchmarks.{name}").ratios():
            click.echo(f"    {ratio.name}: {ratio.ratio:.2f}", err=True)
            yield ratio
    if not SERVED.exists():
        left_out = " and ".join(ON_A_POLICY)
        click.echo(f"Left out: {left_out}, which need {SERVED}; `make demo` makes it.", err=True)


if __name__ == "__main__":
    main()
