"""Every benchmark that needs no GPU and no cluster, as one table of ratios: ours against the named peer.

    make bench        (python -m benchmarks [--keep])

Each line is of this run: the median of its rounds, the smallest and the largest. Beside it stands the ratio that is
committed; one that lost more than a fifth is told of at the end. `--keep` commits this run's. SRPO and the load test go
out from the policy that `make demo` leaves, and are left out where there is none. A benchmark that fails, for want of
its peer or because both sides did not do the same, leaves the others their lines; but nothing is kept then.
"""

import sys
import traceback
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
        ratios, failures = measure()
    click.echo("\n" + table.render(ratios, table.load(table.COMMITTED) if table.COMMITTED.exists() else []))
    for name, why in failures.items():
        click.echo(f"! not measured: {name}: {why}")
    if failures:
        sys.exit(1)
    if keep:
        table.save(table.COMMITTED, ratios)
        click.echo(f"\nKept in {table.COMMITTED.name}.")


def measure() -> tuple[list[Ratio], dict[str, str]]:
    """All ratios, told as they come, and what the modules said that failed."""
    ratios: list[Ratio] = []
    failures: dict[str, str] = {}
    modules = (*MODULES, *ON_A_POLICY) if SERVED.exists() else MODULES
    for name in modules:
        click.echo(f"[{name}]", err=True)
        try:
            found = import_module(f"benchmarks.{name}").ratios()
        except Exception as error:  # noqa: BLE001 - Whatever it is, the minutes that the others took are not lost.
            traceback.print_exc()
            failures[name] = str(error)
            continue
        for ratio in found:
            click.echo(f"    {ratio.name}: {ratio.ratio:.2f}", err=True)
        ratios += found
    if not SERVED.exists():
        left_out = " and ".join(ON_A_POLICY)
        click.echo(f"Left out: {left_out}, which need {SERVED}; `make demo` makes it.", err=True)
    return ratios, failures


if __name__ == "__main__":
    main()
