"""Traffic beside the champion's training data: what the first windows are judged by, before they are a reference.

A champion's own reference takes a week or so to gather. Until then nothing is known of how its users answer, but its
training data say who was expected: the users' taste as it stood at the end of training, in the two columns that a
request shares with them (`category`, `last_level1`). Far from it, the traffic is not what the policy was made for
(training-serving skew): histories are lost or mixed up on their way, or the policy went to another shop's users.

The distance is the total variation, which reads as a share of users: how many would have to be others. It has a fixed
limit, and what chance adds for so few users on top.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gream import columns
from gream.monitoring.catalogue import CountResult
from gream.monitoring.served_items import ServedItems, bucket_of
from gream.monitoring.user_means import Layout, UserMeans

MEANINGS: Final = {
    "category": "Users whose history carries another category than in the training data.",
    "last_level1": "Users whose last item has another first-level code than in the training data.",
}
MOST_USERS: Final = 20_000
"""Users of the training data who are looked at, the latest ones: more tell nothing more."""


class SkewLimits(BaseModel):
    """From which share of the users on traffic is not what the champion was trained for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    chance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.001
    """Of passing the limit, for each monitor and window, where traffic is as the training data."""

    def at(self, seen: int, expected: int, buckets: int) -> float:
        """The limit for a window of `seen` users beside `expected` of the training data, over so many buckets.

        The total variation of an empirical distribution of n users has mean at most sqrt(buckets / n) / 2, and as each
        user moves it by 1 / n at most, exceeds its mean by e with a chance of at most exp(-2 n e^2) (McDiarmid). Two
        samples count as one of n = 1 / (1 / seen + 1 / expected).
        """
        n = 1.0 / (1.0 / seen + 1.0 / expected)
        return self.users + math.sqrt(buckets / n) / 2 + math.sqrt(-math.log(self.chance) / (2 * n))


@dataclass(frozen=True)
class TrainedTaste:
    """Attributes:
    limits: see there.
    min_users: that a window needs to become part of the champion's own reference.
    users: of the training data who were looked at.
    shares: monitor -> `(buckets,)` shares of these users, in the buckets of the monitor.
    """

    limits: SkewLimits
    min_users: int
    users: int
    shares: dict[str, NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        interactions: pl.DataFrame,
        items: pl.DataFrame,
        served: ServedItems,
        history_window: int,
        limits: SkewLimits,
        min_users: int,
    ) -> "TrainedTaste":
        """Look at the training data.

        Args:
            interactions: users, items and times (`trained_on`); items that are not served do not count.
            items: ids and categories.
            served: the champion's items.
            history_window: latest items of a user that the champion is asked with.
            limits: see there.
            min_users: see there.
        """
        past = interactions.join(served.items.select(columns.ITEM, "level1"), columns.ITEM, maintain_order="left")
        latest = past.group_by(columns.USER).agg(pl.col(columns.TIMESTAMP).max()).sort(columns.TIMESTAMP, columns.USER)
        some = latest.tail(MOST_USERS).select(columns.USER)
        histories = (
            past.join(some, columns.USER, "semi", maintain_order="left")
            .sort(columns.TIMESTAMP, maintain_order=True)
            .group_by(columns.USER, maintain_order=True)
            .tail(history_window)
        )
        last = histories.group_by(columns.USER, maintain_order=True).last()
        taste = last.join(_top_categories(histories, items), columns.USER, "left", maintain_order="left").select(
            bucket_of(pl.col("level1"), served.level1).alias("last_level1"),
            bucket_of(pl.col("category"), served.categories).alias("category"),
        )
        buckets = Layout.of(served).buckets
        return cls(limits, min_users, taste.height, {name: _shares(taste[name], buckets[name]) for name in MEANINGS})

    def skew(self, means: UserMeans) -> tuple[CountResult, ...]:
        """How far a window, looked at by the same items, is from it; nothing of a monitor that knows nobody."""
        columns_of = dict(zip(means.layout.buckets, means.layout.columns, strict=True))
        results = []
        for name, expected in self.shares.items():
            values = means.values[:, columns_of[name]]
            known = values[~np.isnan(values[:, 0])]
            if not len(known) or not self.users:
                continue
            distance = np.abs(known.mean(axis=0, dtype=np.float64) - expected).sum() / 2
            limit = self.limits.at(len(known), self.users, len(expected))
            results.append(CountResult(name=name, value=float(distance), limit=limit, meaning=MEANINGS[name]))
        return tuple(results)


def trained_on(interactions: pl.DataFrame, until: int | None) -> pl.DataFrame:
    """Of a catalog's interactions those that a policy was trained on.

    Args:
        interactions: with times.
        until: time of the last event of the training data; None where nobody noted it, and then all count.
    """
    return interactions if until is None else interactions.filter(pl.col(columns.TIMESTAMP) <= until)


def _shares(column: pl.Series, buckets: Sequence[str]) -> NDArray[np.float64]:
    counts = dict(column.value_counts().iter_rows())
    return np.array([counts.get(bucket, 0) for bucket in buckets], dtype=np.float64) / max(1, len(column))


def _top_categories(histories: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """For each user the category that most items of the history carry, of several the one that is met first; as
    serving tells it of a request."""
    carried = histories.join(items.select(columns.ITEM, columns.CATEGORIES), columns.ITEM, maintain_order="left")
    one_each = carried.select(
        columns.USER, pl.col(columns.CATEGORIES).list.unique(maintain_order=True).alias("category")
    )
    counted = (
        one_each.explode("category").drop_nulls().group_by(columns.USER, "category", maintain_order=True).len("count")
    )
    ranked = counted.sort("count", descending=True, maintain_order=True)
    return ranked.group_by(columns.USER, maintain_order=True).first().select(columns.USER, "category")
