"""A small shop's traffic, simulated: users with lasting tastes, popular and rare items, good and bad days.

It is made to be hard on monitors: a few users make most requests, most users come again, days differ by more than their
users explain, and lists overlap because everybody is shown the popular items.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from gream import columns
from gream.monitoring.evidence import FEEDBACK_SCHEMA, REQUEST_SCHEMA, USER_HASH, Evidence, Window
from gream.monitoring.served_items import ServedItems

DAY = 86_400
MATCH_SECONDS = 6 * 3_600
GENRES = 18
CODES = 36
ITEMS = 540
LENGTH = 10
TURNOVER = 0.03
"""Share of the users that is replaced in a day."""
VERSION = "simulated"


@dataclass(frozen=True)
class Shift:
    """What changes from a day on.

    Attributes:
        surge: share of the requests whose user suddenly wants one genre.
        new_items: share of the taken items, and of the histories, that the champion does not know.
        slower: factor on the time to answer.
    """

    surge: float = 0.0
    new_items: float = 0.0
    slower: float = 1.0


class Shop:
    """A population of users, of whom about a quarter comes on one day, and some leave for good and are replaced."""

    def __init__(self, random: np.random.Generator, users: int = 700) -> None:
        self._random = random
        self._popular = random.dirichlet(np.full(GENRES, 2.0))
        self._next_name = 0
        self._name = np.zeros(users, dtype=np.int64)
        self._tastes = np.zeros((users, GENRES))
        self._activity, self._history, self._luck = np.zeros(users), np.zeros(users, dtype=np.int64), np.zeros(users)
        self._arrive(np.arange(users))
        self._weight = -np.log(np.arange(ITEMS) // GENRES + 2.0)
        fit = self._weight + 2.5 * (np.arange(ITEMS) % GENRES == np.arange(GENRES)[:, None])
        self._fit = (fit - np.log(np.exp(fit).sum(axis=1, keepdims=True))).astype(np.float32)

    def _arrive(self, places: np.ndarray) -> None:
        """New users take these places."""
        count = len(places)
        self._name[places] = self._next_name + np.arange(count)
        self._next_name += count
        self._tastes[places] = self._random.dirichlet(GENRES * self._popular, count)
        self._activity[places] = self._random.beta(0.6, 1.8, count)
        self._history[places] = self._random.geometric(0.06, count)
        self._luck[places] = self._random.beta(2.0, 8.0, count)

    def served(self) -> ServedItems:
        """The items as their champion knows them."""
        weight = np.exp(self._weight)
        return ServedItems(
            items=pl.DataFrame(
                {
                    columns.ITEM: [f"i{item}" for item in range(ITEMS)],
                    "level1": (np.arange(ITEMS) % CODES).astype(str),
                    "surprise": self._weight / self._weight.min(),
                    "head": weight >= np.quantile(weight, 0.8),
                }
            ),
            level1=tuple(str(code) for code in range(CODES))[:30],
            categories=tuple(f"g{genre}" for genre in range(GENRES)),
        )

    def days(self, first: int, count: int, shift: Shift | None = None) -> list[Evidence]:
        """Evidence of consecutive days, and of the hours before the first one that it needs."""
        drawn = [self._day(day, shift or Shift()) for day in range(first - 1, first + count)]
        requests = pl.concat([one for one, _ in drawn])
        feedback = pl.concat([one for _, one in drawn])
        return [_window(requests, feedback, Window(day * DAY, (day + 1) * DAY)) for day in range(first, first + count)]

    def _day(self, day: int, shift: Shift) -> tuple[pl.DataFrame, pl.DataFrame]:
        random = self._random
        self._arrive(np.flatnonzero(random.random(len(self._name)) < TURNOVER))
        active = np.flatnonzero(random.random(len(self._name)) < self._activity)
        user = np.repeat(active, 1 + random.poisson(6 * self._activity[active] ** 2))
        rows = len(user)
        mood = np.exp(random.normal(0.0, 0.08, GENRES))
        wanted = self._tastes[user] * mood
        genre = (wanted.cumsum(axis=1) < random.random((rows, 1)) * wanted.sum(axis=1, keepdims=True)).sum(axis=1)
        surged = random.random(rows) < shift.surge
        genre[surged] = GENRES - 1
        when = day * DAY + random.integers(0, DAY, rows)
        # With an exponential variable's logarithm taken off, the largest ones are a sample without replacement.
        chance = np.log(random.standard_exponential((rows, ITEMS), dtype=np.float32) + 1e-30)
        lists = np.argpartition(chance - self._fit[genre], LENGTH, axis=1)[:, :LENGTH]
        scores = np.take_along_axis(self._fit[genre], lists, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")
        lists, scores = np.take_along_axis(lists, order, axis=1), np.take_along_axis(scores, order, axis=1)
        length = self._history[user] + random.poisson(0.2, rows)
        requests = pl.DataFrame(
            {
                "request_id": [f"{day}-{row}" for row in range(rows)],
                columns.TIMESTAMP: when,
                USER_HASH: [f"{number:016x}" for number in (self._name[user] * 2_654_435_761) % 2**32],
                "history_length": length,
                "seconds_since_last": random.exponential(4 * DAY, rows).astype(np.int64),
                "last_level1": (genre + GENRES * random.integers(0, CODES // GENRES, rows)) % CODES,
                "top_category": [f"g{number}" for number in genre],
                "unknown_items": random.binomial(length, 0.002 + shift.new_items),
                "cold": random.random(rows) < 0.03,
                "mode": ["direct"] * rows,
                "policy_version": [VERSION] * rows,
                "degraded": ["features_unavailable" if failed else None for failed in random.random(rows) < 0.002],
                "engine_ms": (spent := shift.slower * random.lognormal(3.0, 0.4, rows)),
                "features_ms": random.lognormal(0.5, 0.4, rows),
                "total_ms": spent + random.lognormal(1.5, 0.4, rows),
                "items": np.char.add("i", lists.astype(str)),
                "scores": scores,
            },
            schema_overrides={"degraded": pl.String()},
        ).with_columns(pl.col("items").arr.to_list(), pl.col("scores").arr.to_list())
        return requests.cast(pl.Schema(REQUEST_SCHEMA)), self._feedback(requests, lists, user, surged, shift)

    def _feedback(
        self, requests: pl.DataFrame, lists: np.ndarray, user: np.ndarray, surged: np.ndarray, shift: Shift
    ) -> pl.DataFrame:
        """Most requests are followed by an item that the user takes; the list holds it where they are in luck."""
        random, rows = self._random, len(user)
        lucky = random.random(rows) < self._luck[user] * np.where(surged, 0.4, 1.0) * (1.0 - shift.new_items)
        rank = np.minimum(random.geometric(0.25, rows) - 1, LENGTH - 1)
        elsewhere = random.integers(0, ITEMS, rows)
        taken = np.char.add("i", np.where(lucky, lists[np.arange(rows), rank], elsewhere).astype(str))
        unknown = ~lucky & (random.random(rows) < shift.new_items)
        named = lucky & (random.random(rows) < 0.9)
        when = requests[columns.TIMESTAMP].to_numpy() + random.exponential(900.0, rows).astype(np.int64)
        return (
            pl.DataFrame(
                {
                    "event_id": "e" + requests["request_id"],
                    USER_HASH: requests[USER_HASH],
                    columns.ITEM: np.where(unknown, "new", taken),
                    "kind": ["click"] * rows,
                    columns.TIMESTAMP: when,
                    "request_id": requests["request_id"],
                    "received": when + random.exponential(5.0, rows).astype(np.int64),
                }
            )
            .with_columns(pl.when(pl.Series(named)).then("request_id"))
            .filter(random.random(rows) < 0.7)
            .cast({name: kind for name, kind in FEEDBACK_SCHEMA.items() if name != columns.USER})
        )


def flood(evidence: Evidence, requests: int) -> Evidence:
    """The same window, in which one user repeats their first request so often."""
    again = pl.concat([evidence.requests.head(1)] * requests).with_columns(
        pl.format("flood-{}", pl.int_range(requests)).alias("request_id")
    )
    return replace(evidence, requests=pl.concat([evidence.requests, again]))


def _window(requests: pl.DataFrame, feedback: pl.DataFrame, window: Window) -> Evidence:
    when = pl.col(columns.TIMESTAMP)
    since = window.start - MATCH_SECONDS
    known = requests.filter(when.is_between(since, window.end, closed="left"))
    return Evidence(
        window=window,
        match_seconds=MATCH_SECONDS,
        requests=known.filter(when >= window.start),
        settled=known.filter(when < window.end - MATCH_SECONDS),
        request_ids=known["request_id"],
        feedback=feedback.filter(pl.col("received").is_between(since, window.end, closed="left")),
        files=1,
        skipped=(),
    )
