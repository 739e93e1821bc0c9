"""What a setting is worth on the validation items, after SFT on sequences alone: for choosing, where the test items are
not to be read.

    python -m benchmarks.validation --data ../shared/datasets/amazon14-beauty [--set index.levels=3 ...]

Prints Recall@10 and NDCG@10 of the policy by itself, with its prior, and of item transitions, on users drawn by the
seed. What is trained is kept in the workspace; ten minutes on two cores for Amazon Beauty.
"""

import sys
from contextlib import redirect_stdout

import click
import numpy as np

from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.evaluation.baselines import Transitions
from gream.evaluation.cases import cases_for_validation
from gream.evaluation.metrics import bootstrap_interval
from gream.evaluation.policy_evaluation import evaluate_direct
from gream.evaluation.ranking import rank_histories, user_values
from gream.policy import Policy
from gream.stages.chain import run_until
from gream.stages.store import open_run

SEQUENCES_ALONE = ("corpus.reasoning_samples=0", "corpus.text_passes=0", "corpus.itemsearch_samples=0")
METRICS = ("recall@10", "ndcg@10")


@click.command(help=__doc__)
@click.option("--data", required=True, help="What `gream run --data` takes.")
@click.option("--set", "overrides", multiple=True, metavar="SETTING=VALUE", help="Of the laptop profile.")
@click.option("--users", default=5_000, show_default=True, help="Validation users, drawn by the seed.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workspace", default="runs/workspace", show_default=True)
def main(data: str, overrides: tuple[str, ...], users: int, seed: int, workspace: str) -> None:
    context = open_run("laptop", (*SEQUENCES_ALONE, *overrides), seed, workspace)
    shop = Catalog.load(run_until("ingest", data, "as-dataset", context))
    with redirect_stdout(sys.stderr):  # where the trainer's log belongs
        policy = Policy.load(run_until("sft", data, "as-dataset", context))
    split, exclude_seen = leave_last_one_out(shop), shop.facts.exclude_seen
    cases = cases_for_validation(split, users, seed)
    number = {item: place for place, item in enumerate(shop.item_ids)}
    histories, targets = cases.numbers(number)
    train = [[number[item] for item in items] for items in split.train.values()]
    ranked = rank_histories(Transitions(train, len(number)), histories, 10, exclude_seen)
    found = {
        name: evaluate_direct(asked, number, cases, exclude_seen, context.profile.evaluation, name)
        for name, asked in (("policy by itself", policy.without_prior()), ("with its prior", policy))
    }
    found["item transitions"] = user_values(ranked, np.asarray(targets))
    for name, values in found.items():
        words = [f"{metric} {bootstrap_interval(values[metric]).words()}" for metric in METRICS]
        click.echo(f"{name:<20}{'   '.join(words)}")
    click.echo(f"{len(cases.users)} users; the prior's weight in direct mode is {_weight(policy)}")


def _weight(policy: Policy) -> float:
    return 0.0 if policy.facts.prior is None else policy.facts.prior.direct


if __name__ == "__main__":
    main()
