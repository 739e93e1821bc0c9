"""What settings are worth on the validation items, after SFT on sequences alone: for choosing, where the test items are
not to be read.

    python -m benchmarks.validation --data BEAUTY \\
        --variant "as it is:" --variant "three levels: index.levels=3 index.codebook_size=256"

Prints of each variant the share of items that share all codes with another, Recall@10 and NDCG@10 of the policy by
itself and with its prior, and those of item transitions, on users drawn by the seed. What is trained is kept in the
workspace; ten minutes a variant on two cores for Amazon Beauty. Published indices are variants too:
`--variant "LETTER: index.published=BEAUTY/index/letter.index.json"`. Only what keeps the users can be compared.

The prior's weight, one of eight, was chosen by some of the same validation users, in a small shop by all of them. How
many they were is printed: where they are many, the figures with the prior flatter it.
"""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import click
import numpy as np

from benchmarks.command import Benchmark
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.errors import ConfigError
from gream.evaluation.baselines import Transitions
from gream.evaluation.cases import Cases, cases_for_validation
from gream.evaluation.metrics import bootstrap_interval
from gream.evaluation.policy_evaluation import evaluate_direct
from gream.evaluation.ranking import rank_histories, user_values
from gream.evaluation.variants import Variant, parse_variant
from gream.indexing.collision_limit import AUDIT
from gream.policy import Policy
from gream.stages.chain import run_until
from gream.stages.store import RunContext, open_run
from gream.training.prior_weights import USERS

SEQUENCES_ALONE = ("corpus.reasoning_samples=0", "corpus.text_passes=0", "corpus.itemsearch_samples=0")
METRICS = ("recall@10", "ndcg@10")
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """The validation users that all are asked for.

    Attributes:
        cases: their histories and what they took next.
        validation_users: all that there are.
        number: of each item.
        train: item numbers of all users' training parts.
        exclude_seen: the protocol.
    """

    cases: Cases
    validation_users: int
    number: dict[str, int]
    train: list[list[int]]
    exclude_seen: bool

    @classmethod
    def of(cls, shop: Catalog, users: int, seed: int) -> "Asked":
        """A draw of users; 0 takes all."""
        split, number = leave_last_one_out(shop), {item: place for place, item in enumerate(shop.item_ids)}
        train = [[number[item] for item in items] for items in split.train.values()]
        cases = cases_for_validation(split, users, seed)
        return cls(cases, len(split.validation), number, train, shop.facts.exclude_seen)

    def by_policy(self, policy: Policy, context: RunContext, name: str) -> Values:
        """Metrics of each user."""
        return evaluate_direct(policy, self.number, self.cases, self.exclude_seen, context.profile.evaluation, name)

    def by_transitions(self) -> Values:
        """The same of counting."""
        histories, targets = self.cases.numbers(self.number)
        ranked = rank_histories(Transitions(self.train, len(self.number)), histories, 10, self.exclude_seen)
        return user_values(ranked, np.asarray(targets))


def asked_of_all(variants: Sequence[Variant], contexts: Sequence[RunContext], data: str, users: int) -> Asked:
    """What every variant is asked.

    Raises:
        ConfigError: a variant has other users or histories than the first: said before anything is trained.
    """
    shops = [Catalog.load(run_until("ingest", data, "as-dataset", context)) for context in contexts]
    first, *others = [Asked.of(shop, users, context.seed) for shop, context in zip(shops, contexts, strict=True)]
    for variant, other in zip(variants[1:], others, strict=True):
        if other != first:
            raise ConfigError(f"variant {variant.name!r} has other users: only what keeps them can be compared.")
    return first


@click.command(cls=Benchmark, help=__doc__)
@click.option("--data", required=True, help="What `gream run --data` takes.")
@click.option("--variant", "variants", multiple=True, default=("laptop:",), show_default=True, help="As above.")
@click.option("--users", default=5_000, show_default=True, help="Validation users, drawn by the seed; 0 takes all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workspace", default="runs/workspace", show_default=True)
def main(data: str, variants: tuple[str, ...], users: int, seed: int, workspace: str) -> None:
    chosen = [parse_variant(text) for text in variants]
    contexts = [open_run("laptop", (*SEQUENCES_ALONE, *one.overrides), seed, workspace) for one in chosen]
    asked = asked_of_all(chosen, contexts, data, users)
    click.echo(f"{len(asked.cases.users)} users; {_words(asked.by_transitions())}  item transitions")
    by_whom = f"{min(USERS['direct'], asked.validation_users)} of all {asked.validation_users} validation users"
    for variant, context in zip(chosen, contexts, strict=True):
        with redirect_stdout(sys.stderr):  # where the trainer's log belongs
            policy = Policy.load(run_until("sft", data, "as-dataset", context))
        prior = policy.facts.prior
        weight = "it has no prior" if prior is None else f"the prior's weight is {prior.direct}, chosen by {by_whom}"
        collisions = policy.index.facts[AUDIT]["collision_rate"]
        click.echo(f"\n{variant.name}: {collisions:.2%} of the items collide, {weight}")
        for name, one in (("by itself", policy.without_prior()), ("with its prior", policy)):
            click.echo(f"  {name:<16}{_words(asked.by_policy(one, context, name))}")


def _words(values: Values) -> str:
    return "   ".join(f"{metric} {bootstrap_interval(values[metric]).words()}" for metric in METRICS)


if __name__ == "__main__":
    main()
