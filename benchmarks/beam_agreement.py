"""How close the beam comes to the exact ranking of a trained policy: agreement by number of beams.

    python -m benchmarks.beam_agreement --policy runs/latest/policy --data movielens-100k --users 200

The exact ranking is that of `score_all`, which gives every item its log-probability. Agreement@10 is the share of its
first ten items that the beam returns too, top-1 the share of users for whom both have the same first item.
"""

import click
import numpy as np

from benchmarks.command import Benchmark
from gream.data.importers import import_catalog
from gream.data.split import leave_last_one_out
from gream.policy import Policy

DEPTH = 10


@click.command(cls=Benchmark, help=__doc__)
@click.option("--policy", "folder", required=True, help="Policy bundle.")
@click.option("--data", default="movielens-100k", show_default=True, help="The data that it was trained on.")
@click.option("--users", default=200, show_default=True, help="Test users to measure on, drawn by the seed.")
@click.option("--seed", default=0, show_default=True)
def main(folder: str, data: str, users: int, seed: int) -> None:
    policy = Policy.load(folder)
    split = leave_last_one_out(import_catalog(data, k_core=5))
    names = list(split.test)
    chosen = np.random.default_rng(seed).choice(len(names), min(users, len(names)), replace=False)
    histories = [split.test_history(names[row]) for row in chosen]

    exact = []
    for history in histories:
        scores = policy.score_all(history)
        exact.append(sorted(scores, key=scores.__getitem__, reverse=True)[:DEPTH])
    click.echo(f"{len(histories)} users, {policy.items.height} items, nothing excluded")
    click.echo("beams  agreement@10  same first item")
    for beams in (10, 20, 50):
        answers = policy.recommend_batch(histories, k=DEPTH, beams=beams)
        found = [[item.item_id for item in answer] for answer in answers]
        shared = np.mean([len(set(a) & set(b)) / DEPTH for a, b in zip(found, exact, strict=True)])
        first = np.mean([a[0] == b[0] for a, b in zip(found, exact, strict=True)])
        click.echo(f"{beams:>5}  {shared:>12.3f}  {first:>15.3f}")


if __name__ == "__main__":
    main()
