"""Whose histories a retraining trains on: everybody about whom something new is known, and a share of the others.

Trained on the new alone, a policy forgets the old. A seeded share of the old in every retraining keeps it; who was left
out of one is as likely as anybody to be in the next.
"""

import numpy as np

from gream import columns
from gream.data.catalog import Catalog
from gream.data.split import Split


def replay_split(catalog: Catalog, trained_until: int | None, replay_share: float, seed: int) -> Split:
    """The training part of a retraining: whole histories, since what is held out comes after all of the catalogue.

    Args:
        catalog: from `gream.data.fresh.join_feedback`.
        trained_until: time of the last event that the champion was trained on; None where it does not say, and then
            everything is new.
        replay_share: of the users without a later event.
        seed: of the draw.

    Returns:
        Nothing in it validates or tests.
    """
    sequences = catalog.sequences()
    if trained_until is None:
        return Split(sequences, {}, {})
    latest = catalog.interactions.group_by(columns.USER).last()
    fresh = set(latest.filter(latest[columns.TIMESTAMP] > trained_until)[columns.USER])
    others = [user for user in sequences if user not in fresh]
    drawn = np.random.default_rng(seed).permutation(len(others))[: round(replay_share * len(others))]
    chosen = fresh | {others[place] for place in drawn}
    return Split({user: items for user, items in sequences.items() if user in chosen}, {}, {})
