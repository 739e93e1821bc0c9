"""Whose histories a retraining trains on: everybody about whom something new is known, and a share of the others.

Trained on the new alone, a policy forgets the old. A seeded share of the old in every retraining keeps it; who was left
out of one is as likely as anybody to be in the next.

A retraining has its validation events too: the last ones of some who came back. What is chosen by them is how much the
transition counts should weigh in the search, which the shop's change has changed: new items have hardly any.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gream import columns
from gream.data.catalog import Catalog
from gream.data.split import Split

MOST_VALIDATED: Final = 500
"""Users who lend their last event at most."""
FEWEST_VALIDATED: Final = 100
"""With fewer to lend one, nobody does: so few choose nothing."""


def replay_split(catalog: Catalog, trained_until: int | None, replay_share: float, seed: int) -> Split:
    """The training part of a retraining: whole histories, since what is held out comes after all of the catalogue.

    Args:
        catalog: from `gream.data.fresh.join_feedback`.
        trained_until: time of the last event that the champion was trained on; None where it does not say, and then
            everything is new.
        replay_share: of the users without a later event.
        seed: of the draws.

    Returns:
        Half of the users with a fresh event, at most `MOST_VALIDATED` of them, validate by their last one; nobody
        where that would be fewer than `FEWEST_VALIDATED`, or where everything is new. Nothing tests.
    """
    sequences = catalog.sequences()
    if trained_until is None:
        return Split(sequences, {}, {})
    latest = catalog.interactions.group_by(columns.USER).last()
    fresh = set(latest.filter(latest[columns.TIMESTAMP] > trained_until)[columns.USER])
    others = [user for user in sequences if user not in fresh]
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(others))[: round(replay_share * len(others))]
    chosen = fresh | {others[place] for place in drawn}
    train = {user: items for user, items in sequences.items() if user in chosen}
    able = [user for user, items in train.items() if user in fresh and len(items) > 1]
    lent = min(len(able) // 2, MOST_VALIDATED)
    validating = {able[place] for place in random.permutation(len(able))[:lent]} if lent >= FEWEST_VALIDATED else set()
    return Split(
        train={user: items[:-1] if user in validating else items for user, items in train.items()},
        validation={user: items[-1] for user, items in train.items() if user in validating},
        test={},
    )


def event_weights(catalog: Catalog, trained_until: int | None, fresh_weight: float) -> dict[str, NDArray[np.float64]]:
    """How much each event of `catalog.sequences()` counts: 1 where the champion was trained on it, else `fresh_weight`.

    Args:
        catalog: from `gream.data.fresh.join_feedback`.
        trained_until: as for `replay_split`; with None all count 1.
        fresh_weight: of later events.
    """
    grouped = catalog.interactions.group_by(columns.USER, maintain_order=True).agg(columns.TIMESTAMP)
    return {
        user: np.where(np.array(times) > trained_until, fresh_weight, 1.0)
        if trained_until is not None
        else np.ones(len(times))
        for user, times in grouped.iter_rows()
    }
