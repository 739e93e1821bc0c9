"""Items never seen in training: how often a policy finds them by their texts, beside neighbours of these texts.

    python -m benchmarks.cold_start --data BEAUTY [--share 0.05]

A share of the items is hidden with all its events, a policy is trained on the rest (SFT, laptop profile), and the
hidden items are added to it by `gream.policy.extend.extend_policy`: a larger trie, the same weights. The users whose
last item is a hidden one are asked, once for hidden items alone, as a shelf of novelties would be filled, and once for
all items; items of the history are left out. The peer is item-kNN on the text vectors that the index is made from.
"""

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import click
import numpy as np

from benchmarks.command import Benchmark
from gream import columns
from gream.data.catalog import Catalog
from gream.data.importers import import_catalog
from gream.enrichment.profiles import ItemProfiles
from gream.evaluation.cases import Cases
from gream.evaluation.cold_start import TextKnn, first_buyers, hide_items
from gream.evaluation.metrics import bootstrap_interval, paired_bootstrap
from gream.evaluation.policy_evaluation import LENGTH, answer_values
from gream.evaluation.ranking import top_k, user_values
from gream.indexing.build import encode_items
from gream.indexing.encoder import average_fields
from gream.policy import Policy
from gream.policy.extend import extend_policy
from gream.stages.chain import run_until
from gream.stages.store import RunContext, open_run

METRICS = ("recall@10", "ndcg@10")


@click.command(cls=Benchmark, help=__doc__)
@click.option("--data", required=True, help="What `gream run --data` takes.")
@click.option("--share", default=0.05, show_default=True, help="Of the items that is hidden.")
@click.option("--seed", default=0, show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="SETTING=VALUE", help="Of the laptop profile.")
def main(data: str, share: float, seed: int, overrides: tuple[str, ...]) -> None:
    shop = import_catalog(data, k_core=5)
    warm, hidden = hide_items(shop, share, seed)
    cases = first_buyers(shop, hidden[columns.ITEM].to_list())
    with tempfile.TemporaryDirectory() as home:
        context = open_run("laptop", (*overrides, "data.k_core=0"), seed, f"{home}/workspace")
        warm.save(Path(home) / "warm")
        hidden.write_parquet(Path(home) / "hidden.parquet")
        with redirect_stdout(sys.stderr):  # where the trainer's log belongs
            trained = run_until("sft", f"{home}/warm", "as-dataset", context)
        extend_policy(trained, Path(home) / "hidden.parquet", Path(home) / "policy")
        policy = Policy.load(Path(home) / "policy")
        vectors = text_vectors(shop, context, home)
    click.echo(f"{hidden.height} of {shop.items.height} items hidden; {len(cases.users)} users whose last item is one")
    warm_items = warm.items[columns.ITEM].to_list()
    for among, left_out in ((f"{hidden.height} hidden items", warm_items), ("all items", [])):
        found = {
            "gream": by_policy(policy, shop, cases, left_out),
            "item-kNN on text": by_text(TextKnn(vectors), shop, cases, left_out),
        }
        chance = LENGTH / (shop.items.height - len(left_out))
        click.echo(f"\nranked among {among} (by chance recall@10 is {chance:.4f})")
        for name, values in found.items():
            _row(name, [bootstrap_interval(values[metric]).words() for metric in METRICS])
        pairs = [[values[metric] for values in found.values()] for metric in METRICS]
        _row("difference", [paired_bootstrap(ours, theirs).words("+") for ours, theirs in pairs])


def _row(name: str, words: list[str]) -> None:
    click.echo(f"{name:<20}" + "".join(f"{metric} {word:<30}" for metric, word in zip(METRICS, words, strict=True)))


def text_vectors(shop: Catalog, context: RunContext, home: str) -> np.ndarray:
    """(n_items, d) what the index sees of all items' texts."""
    shop.save(Path(home) / "shop")
    profiles = ItemProfiles.load(run_until("enrich", f"{home}/shop", "as-dataset", context))
    fields = encode_items(shop, profiles.texts, context.profile.index)
    return average_fields([fields.titles, fields.profiles])


def by_policy(policy: Policy, shop: Catalog, cases: Cases, left_out: list[str]) -> dict[str, np.ndarray]:
    """Metrics of each user."""
    answers = policy.recommend_batch(
        cases.histories, LENGTH, "direct", [[*left_out, *seen] for seen in cases.histories], progress="the policy"
    )
    return answer_values(answers, cases, {item: place for place, item in enumerate(shop.item_ids)})


def by_text(knn: TextKnn, shop: Catalog, cases: Cases, left_out: list[str]) -> dict[str, np.ndarray]:
    """Metrics of each user."""
    number = {item: place for place, item in enumerate(shop.item_ids)}
    histories, targets = cases.numbers(number)
    scores = knn.score(histories)
    scores[:, [number[item] for item in left_out]] = -np.inf
    for row, history in zip(scores, histories, strict=True):
        row[history] = -np.inf
    return user_values(top_k(scores, LENGTH), targets)


if __name__ == "__main__":
    main()
