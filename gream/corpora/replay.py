"""Whose histories a retraining trains on: everybody about whom something new is known, and a share of the others.

Trained on the new alone, a policy forgets the old. A seeded share of the old in every retraining keeps it; who was left
out of one is as likely as anybody to be in the next.

New is also what the champion's own training held out to be evaluated by, the newest that was known then: the first
retraining after it trains on nearly everybody. And to a policy that begins anew, everything is.

A retraining has its validation events too: the last ones of some who came back. What is chosen by them is how much the
transition counts should weigh in the search, which the shop's change has changed: new items have hardly any.
"""

from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from gream import columns
from gream.data.catalog import Catalog
from gream.data.split import MINIMUM_LENGTH, Split, leave_last_one_out

MOST_VALIDATED: Final = 500
"""Users who lend their last event at most."""
FEWEST_VALIDATED: Final = 100
"""With fewer to lend one, nobody does: so few choose nothing."""


NOTHING: Final = -1
"""A time before all events."""


class Replay(BaseModel):
    """What a retraining goes out from.

    Attributes:
        share: of the users of whom nothing is new, who train all the same.
        trained_until: time of the last event that the policy had in its training; `NOTHING` where it begins anew, None
            where the policy does not say, and then everything is new.
        held_out: whether that training left the last events of each user for validation and test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float
    trained_until: int | None
    held_out: bool

    @classmethod
    def anew(cls) -> Self:
        """Of one that begins from the backbone."""
        return cls(share=1.0, trained_until=NOTHING, held_out=False)


def training_split(catalog: Catalog, replay: Replay | None, seed: int) -> Split:
    """What a run trains on: a retraining by `replay_split`, a training, which has none, by leave-last-one-out.

    Raises:
        DataError: of a training, no user has the three events that its split needs.
    """
    return leave_last_one_out(catalog) if replay is None else replay_split(catalog, replay, seed)


def replay_split(catalog: Catalog, replay: Replay, seed: int) -> Split:
    """The training part of a retraining: whole histories, since what is held out comes after all of the catalogue.

    Args:
        catalog: from `gream.data.fresh.join_feedback`.
        replay: what it goes out from.
        seed: of the draws.

    Returns:
        Half of the users with a later event, at most `MOST_VALIDATED` of them, validate by their last one; nobody
        where that would be fewer than `FEWEST_VALIDATED` and the policy has weights already, or where it does not say
        what it was trained on. Nothing tests.
    """
    sequences, until = catalog.sequences(), replay.trained_until
    if until is None:
        return Split(sequences, {}, {})
    later = catalog.interactions[columns.TIMESTAMP] > until
    returned = set(catalog.interactions.filter(later)[columns.USER])
    new = returned | (_held_out_users(catalog, until) if replay.held_out else set())
    others = [user for user in sequences if user not in new]
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(others))[: round(replay.share * len(others))]
    chosen = new | {others[place] for place in drawn}
    train = {user: items for user, items in sequences.items() if user in chosen}
    able = [user for user, items in train.items() if user in returned and len(items) > 1]
    lent = min(len(able) // 2, MOST_VALIDATED)
    if lent < FEWEST_VALIDATED and until != NOTHING:
        lent = 0
    validating = {able[place] for place in random.permutation(len(able))[:lent]}
    return Split(
        train={user: items[:-1] if user in validating else items for user, items in train.items()},
        validation={user: items[-1] for user, items in train.items() if user in validating},
        test={},
    )


def _held_out_users(catalog: Catalog, until: int) -> set[str]:
    """Of whom a training up to then held something out (`leave_last_one_out`)."""
    known = catalog.interactions.filter(pl.col(columns.TIMESTAMP) <= until)
    counts = known.group_by(columns.USER).len()
    return set(counts.filter(pl.col("len") >= MINIMUM_LENGTH)[columns.USER])


def event_weights(catalog: Catalog, trained_until: int | None, fresh_weight: float) -> dict[str, NDArray[np.float64]]:
    """How much each event of `catalog.sequences()` counts: 1 up to the champion's last one, then `fresh_weight`.

    Args:
        catalog: from `gream.data.fresh.join_feedback`.
        trained_until: as in `Replay`; with None all count 1.
        fresh_weight: of later events.
    """
    grouped = catalog.interactions.group_by(columns.USER, maintain_order=True).agg(columns.TIMESTAMP)
    return {
        user: np.where(np.array(times) > trained_until, fresh_weight, 1.0)
        if trained_until is not None
        else np.ones(len(times))
        for user, times in grouped.iter_rows()
    }
