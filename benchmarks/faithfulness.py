"""Do a policy's answers rest on what its chains cite? See `gream.evaluation.faithfulness`.

    python -m benchmarks.faithfulness --run runs/latest [--users 500]

Prints how much of a list of ten changes when a cited item of the history is exchanged for another one, and when an
uncited one is, with and without a chain; 95 % bootstrap intervals over users. The policy is asked without its prior.
"""

from pathlib import Path

import click
import numpy as np

from benchmarks.command import Benchmark
from gream import columns
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.evaluation.cases import cases_for_test
from gream.evaluation.faithfulness import measure_faithfulness
from gream.evaluation.metrics import bootstrap_interval
from gream.policy import Policy


@click.command(cls=Benchmark, help=__doc__)
@click.option("--run", "folder", required=True, type=click.Path(path_type=Path), help="Of `gream run`: its folder.")
@click.option("--users", default=500, show_default=True, help="Test users, drawn by the seed.")
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, users: int, seed: int) -> None:
    policy = Policy.load(folder / "policy").without_prior()
    cases = cases_for_test(leave_last_one_out(Catalog.load(folder / "catalog")), users, seed)
    items = policy.items[columns.ITEM].to_list()
    tokens = dict(zip(items, policy.index.encode(items), strict=True))
    window = policy.facts.reasoning_window
    exchanges, found = measure_faithfulness(policy, tokens, cases.histories, window, seed)
    ages = {
        kind: np.mean([len(cases.histories[one.row]) - 1 - getattr(one, kind) for one in exchanges])
        for kind in ("cited", "uncited")
    }
    click.echo(f"{len(exchanges)} of {len(cases.users)} users; the cited items lie {ages['cited']:.1f} items back,")
    click.echo(f"the uncited ones {ages['uncited']:.1f}; share of the list of ten that changes:\n")
    click.echo(f"{'':<12}{'cited':>26}{'uncited':>26}{'difference':>28}")
    for mode in ("reasoning", "direct"):
        values = [bootstrap_interval(found.cited[mode]), bootstrap_interval(found.uncited[mode])]
        words = [f"{value.words():>26}" for value in values]
        click.echo(f"{mode:<12}{''.join(words)}{found.difference(mode).words('+'):>28}")
    click.echo(f"\ndue to the chain {found.due_to_chain().words('+')}")


if __name__ == "__main__":
    main()
