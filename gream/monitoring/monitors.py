"""The table of monitors: what each looks at, how two windows are compared by it, and what it means for on-call.

A monitor's statistic is a function of two means over users, that of the reference and that of the current window:

- a *share* (one number from 0 to 1): the difference, counted in the direction that is bad news;
- a *distribution* (a share for each bucket): the Jensen-Shannon distance, from 0 (equal) to 1 (nothing in common).

`matters` is the smallest statistic that is worth an alarm, whatever the traffic: with enough users every difference is
significant, and few are of consequence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gream.monitoring.features import AGE_BUCKETS, HISTORY_BUCKETS, Table
from gream.monitoring.served_items import NONE, OTHER, ServedItems

Group = Literal["input", "output", "quality", "data_quality", "catalogue", "operations"]
Direction = Literal["up", "down", "both"]
Buckets = Callable[[ServedItems], tuple[str, ...]]

Array = NDArray[np.float64]

HIT_RATE: Final = "hit_rate"
"""The monitor that needs feedback to say anything: without, `click_rate` is 0 as it is of lists that nobody wants."""
CLICK_RATE: Final = "click_rate"
"""The one that also falls where feedback is lost."""


@dataclass(frozen=True)
class Monitor:
    """Attributes:
    name: of the monitor, and of its column in `table`.
    group: what an alarm is about; the decision goes by it.
    table: of `feature_tables`.
    buckets: of a distribution; None for a share.
    direction: in which a share moves when it is bad news; a distribution has none.
    matters: smallest statistic that is worth an alarm.
    meaning: for on-call.
    """

    name: str
    group: Group
    table: Table
    buckets: Buckets | None
    direction: Direction
    matters: float
    meaning: str

    def statistic(self, reference: Array, current: Array) -> Array:
        """How far two windows are apart.

        Args:
            reference: `(..., width)` means over users; the width is 1 for a share, else the number of buckets.
            current: `(..., width)`, of the other window.

        Returns:
            `(...)`; NaN where either mean is.
        """
        if self.buckets is not None:
            return jensen_shannon(reference, current)
        difference: Array = (current - reference)[..., 0]
        return {"up": difference, "down": -difference, "both": np.abs(difference)}[self.direction]


def jensen_shannon(p: Array, q: Array) -> Array:
    """Jensen-Shannon distance, base 2, of distributions along the last axis. What is below 0 counts as 0.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [0.0, 1.0]
    """
    p, q = np.maximum(p, 0.0), np.maximum(q, 0.0)
    middle = (p + q) / 2
    divergence = ((_surprise(p, middle) + _surprise(q, middle)) / 2).sum(axis=-1)
    distance: Array = np.sqrt(np.clip(divergence, 0.0, 1.0))
    return distance


def _surprise(p: Array, middle: Array) -> Array:
    """`p log2(p / middle)`, 0 where p is."""
    terms: Array = p * np.log2(np.where(p == 0, 1.0, p) / np.where(p == 0, 1.0, middle))
    return terms


def _share(name: str, group: Group, table: Table, direction: Direction, matters: float, meaning: str) -> Monitor:
    return Monitor(name, group, table, None, direction, matters, meaning)


def _distribution(name: str, group: Group, table: Table, buckets: Buckets, meaning: str) -> Monitor:
    return Monitor(name, group, table, buckets, "both", SMALLEST_DISTANCE, meaning)


def _level1(served: ServedItems) -> tuple[str, ...]:
    return (*served.level1, OTHER, NONE)


def _categories(served: ServedItems) -> tuple[str, ...]:
    return (*served.categories, OTHER, NONE)


SMALLEST_DISTANCE: Final = 0.03
"""About what it takes to move 3 in 100 users from one half of the buckets to the other."""

MONITORS: Final = (
    _distribution(
        "history_length", "input", "requests", lambda _: HISTORY_BUCKETS, "How long the histories of requests are."
    ),
    _distribution(
        "history_age", "input", "requests", lambda _: AGE_BUCKETS, "How long ago the last event of the history was."
    ),
    _distribution("category", "input", "requests", _categories, "The category that most of the history carries."),
    _distribution("last_level1", "input", "requests", _level1, "The first-level code of the history's last item."),
    _share("unknown_items", "input", "requests", "both", 0.01, "Share of a history that the champion does not know."),
    _share("cold_users", "input", "requests", "both", 0.02, "Requests without any history that the champion knows."),
    _distribution("shown_level1", "output", "slots", _level1, "The first-level codes of the recommended items."),
    _share(
        "list_overlap",
        "output",
        "lists",
        "both",
        0.02,
        "What the lists of two users share: it rises as coverage falls.",
    ),
    _share("novelty", "output", "slots", "both", 0.01, "How rare the recommended items were in the training data."),
    _share("popularity_bias", "output", "slots", "both", 0.02, "Recommended items among the most popular fifth."),
    _share("list_probability", "output", "requests", "both", 0.01, "Probability of all items of a list together."),
    _share("list_entropy", "output", "requests", "both", 0.01, "How even the probabilities within a list are."),
    _share(HIT_RATE, "quality", "settled", "down", 0.01, "The next item that a user took was in the list."),
    _share("ndcg", "quality", "settled", "down", 0.01, "The same, discounted by its rank."),
    _share(CLICK_RATE, "quality", "settled", "down", 0.01, "Requests of which a shown item was clicked or bought."),
    _share(
        "unmatched_feedback",
        "data_quality",
        "events",
        "up",
        0.05,
        "Feedback that names a request of which there is no evidence.",
    ),
    _share(
        "late_feedback",
        "data_quality",
        "events",
        "up",
        0.05,
        "Feedback that arrived too late to be matched, or clocks apart.",
    ),
    _share("new_item_demand", "catalogue", "events", "up", 0.01, "Items taken that the champion cannot recommend."),
    _share("latency", "operations", "requests", "up", 0.03, "Logarithm of the time to answer; 0.06 is twice as slow."),
    _share("degraded", "operations", "requests", "up", 0.01, "Answers that were less than what was asked for."),
)
