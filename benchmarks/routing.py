"""Is there a kind of user for whom reasoning beats direct mode? Recall@10 of both in thirds of the test users.

    python -m benchmarks.routing --run runs/latest [--users 0]

Thirds by what is known before a request is sent to either mode: the length of the history, and how sure direct mode is
(the probability of its first item). 95 % bootstrap intervals over users.
"""

import math
from pathlib import Path
from typing import Literal

import click
import numpy as np

from benchmarks.command import Benchmark
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.evaluation.cases import cases_for_test
from gream.evaluation.policy_evaluation import LENGTH, answer_values
from gream.evaluation.routing import in_thirds
from gream.policy import Policy

METRIC = "recall@10"
MODES: tuple[Literal["direct"], Literal["reasoning"]] = ("direct", "reasoning")


@click.command(cls=Benchmark, help=__doc__)
@click.option("--run", "folder", required=True, type=click.Path(path_type=Path), help="Of `gream run`: its folder.")
@click.option("--users", default=0, show_default=True, help="Test users, drawn by the seed; 0 for all.")
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, users: int, seed: int) -> None:
    policy, shop = Policy.load(folder / "policy"), Catalog.load(folder / "catalog")
    cases = cases_for_test(leave_last_one_out(shop), users, seed)
    number = {item: place for place, item in enumerate(shop.item_ids)}
    excludes = cases.seen(shop.facts.exclude_seen)
    direct, reasoning = (
        policy.recommend_batch(cases.histories, LENGTH, mode, excludes, progress=mode) for mode in MODES
    )
    found, reasoned = (answer_values(answers, cases, number)[METRIC] for answers in (direct, reasoning))
    known = {
        "items of the history": np.array([len(history) for history in cases.histories], dtype=np.float64),
        "direct mode's first": np.array([math.exp(one[0].score) for one in direct]),
    }
    click.echo(f"{'':<42}{'users':>6}{'direct':>9}{'reasoning':>11}  reasoning - direct")
    for name, values in known.items():
        for third in in_thirds(values, found, reasoned):
            span = f"{name} {third.low:.3g} to {third.high:.3g}"
            figures = f"{third.users:>6}{third.direct:>9.4f}{third.reasoning:>11.4f}"
            click.echo(f"{span:<42}{figures}  {third.gain.words('+')}")


if __name__ == "__main__":
    main()
