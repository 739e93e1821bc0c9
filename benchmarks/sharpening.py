"""Does SRPO do more than a lower temperature? Pass@K of the SFT policy at several temperatures, and of SRPO's policy.

    python -m benchmarks.sharpening --data movielens-100k [--seeds 3] [--set SETTING=VALUE] [--temperature 0.5 ...]

Both make a policy surer of its favourites: the first answer is right more often, and ten answers hold fewer different
items. What SRPO has taught is what it gains beyond the temperature that leaves as many different items. On the
validation items, which neither training has seen; the answers of a user under several seeds are averaged, differences
are paired by user, 95 % bootstrap intervals. What is trained is kept in the workspace, which `gream experiment` shares.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Final

import click
import numpy as np

from benchmarks.command import Benchmark
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.evaluation.cases import Cases, cases_for_validation
from gream.evaluation.metrics import bootstrap_interval, paired_bootstrap
from gream.evaluation.policy_evaluation import PASS_CUTOFFS
from gream.evaluation.ranking import pass_values
from gream.policy import Policy
from gream.stages.chain import run_until
from gream.stages.store import RunContext, open_run

DIFFERENT: Final = "different items"
Values = dict[str, np.ndarray]


@click.command(cls=Benchmark, help=__doc__)
@click.option("--data", required=True, help="What `gream run --data` takes.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="Trainings, from seed 0 on.")
@click.option("--set", "overrides", multiple=True, metavar="SETTING=VALUE", help="Of the laptop profile.")
@click.option(
    "--temperature",
    "temperatures",
    multiple=True,
    default=(0.6, 0.5),
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Of the SFT policy, beside the profile's.",
)
@click.option("--chains", default=10, show_default=True, type=click.IntRange(min=max(PASS_CUTOFFS)), help="Per user.")
@click.option("--workspace", default="runs/workspace", show_default=True)
def main(
    data: str, seeds: int, overrides: tuple[str, ...], temperatures: tuple[float, ...], chains: int, workspace: str
) -> None:
    of_seeds: dict[str, list[Values]] = {}
    for seed in range(seeds):
        context = open_run("laptop", overrides, seed, workspace)
        shop = Catalog.load(run_until("ingest", data, "as-dataset", context))
        cases, exclude_seen = cases_for_validation(leave_last_one_out(shop), 0, seed), shop.facts.exclude_seen
        for name, policy in _policies(data, temperatures, context).items():
            of_seeds.setdefault(name, []).append(_sampled(policy, cases, exclude_seen, chains, seed, name))
    table = {name: _mean(values) for name, values in of_seeds.items()}
    first = next(iter(table.values()))
    click.echo(f"{len(next(iter(first.values())))} users, {chains} chains each, seeds 0 to {seeds - 1}")
    for name, values in table.items():
        click.echo(f"\n{name}")
        for metric, own in values.items():
            change = "" if values is first else f"   {paired_bootstrap(own, first[metric]).words('+')}"
            click.echo(f"  {metric:<16}{bootstrap_interval(own).words()}{change}")


def _policies(data: str, temperatures: Sequence[float], context: RunContext) -> dict[str, Policy]:
    """The SFT policy as it is and at other temperatures, and SRPO's as it is."""
    with redirect_stdout(sys.stderr):  # where the trainer's log belongs
        sft, srpo = (Policy.load(run_until(stage, data, "as-dataset", context)) for stage in ("sft", "srpo"))
    own = sft.facts.chain_temperature
    cooled = {f"SFT, temperature {value:g}": _at(sft, value) for value in temperatures}
    return {f"SFT, temperature {own:g}": sft, **cooled, f"SRPO, temperature {own:g}": srpo}


def _at(policy: Policy, temperature: float) -> Policy:
    facts = policy.facts.model_copy(update={"chain_temperature": temperature})
    return Policy(policy.model, policy.tokenizer, policy.index, policy.items, facts, policy.prior)


def _sampled(policy: Policy, cases: Cases, exclude_seen: bool, chains: int, seed: int, name: str) -> Values:
    """Pass@K of each user, and the share of different items among the answers."""
    answers = policy.reason_batch(
        cases.histories, chains, seed, cases.seen(exclude_seen), answer="sample", progress=name
    )
    rows = list(zip(answers, cases.targets, strict=True))
    correct = np.array([sum(answer.item_id == target for answer in row) for row, target in rows])
    different = np.array([len({answer.item_id for answer in row}) / chains for row in answers])
    return {**pass_values(correct, chains, PASS_CUTOFFS), DIFFERENT: different}


def _mean(of_seeds: Sequence[Values]) -> Values:
    return {metric: np.mean([values[metric] for values in of_seeds], axis=0) for metric in of_seeds[0]}


if __name__ == "__main__":
    main()
