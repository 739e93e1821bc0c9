"""What the monitors look at, as columns: a row for each request, shown item, list, settled request or event.

Every column is a text out of a short list of buckets, or a number from 0 to 1: so that one user, whatever they do,
moves the mean over n users by at most 1/n.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal

import polars as pl

from gream import columns
from gream.monitoring.evidence import USER_HASH, Evidence
from gream.monitoring.labels import label_requests
from gream.monitoring.served_items import NONE, ServedItems, bucket_of

Table = Literal["requests", "slots", "lists", "settled", "events"]

HISTORY_EDGES: Final = (0, 2, 5, 10, 20, 50)
HISTORY_BUCKETS: Final = ("0", "1-2", "3-5", "6-10", "11-20", "21-50", "over 50")
AGE_EDGES: Final = (3_600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)
AGE_BUCKETS: Final = ("an hour", "a day", "a week", "a month", "a year", "older", NONE)
FASTEST_MS: Final = 1.0
SLOWEST_MS: Final = 100_000.0


def feature_tables(evidence: Evidence, served: ServedItems) -> dict[Table, pl.DataFrame]:
    """The tables, each with the column `user`; a value that does not exist is null."""
    return {
        "requests": _requests(evidence.requests, served),
        "slots": _slots(evidence.requests, served),
        "lists": _lists(evidence.requests),
        "settled": label_requests(evidence),
        "events": _events(evidence, served),
    }


def _requests(requests: pl.DataFrame, served: ServedItems) -> pl.DataFrame:
    milliseconds = pl.col("total_ms").cast(pl.Float64).clip(FASTEST_MS, SLOWEST_MS)
    probabilities = pl.col("scores").list.eval(pl.element().cast(pl.Float64).exp())
    mass = probabilities.list.sum()
    within = pl.col("scores").list.eval(
        # Entropy of the list's probabilities among themselves, from their logarithms s: log(sum) - sum(p * s) / sum.
        pl.element().exp().sum().log() - (pl.element().exp() * pl.element()).sum() / pl.element().exp().sum()
    )
    shown = pl.col("scores").list.len()
    return requests.select(
        USER_HASH,
        _cut(pl.col("history_length"), HISTORY_EDGES, HISTORY_BUCKETS).alias("history_length"),
        _cut(pl.col("seconds_since_last"), AGE_EDGES, AGE_BUCKETS).fill_null(NONE).alias("history_age"),
        bucket_of(pl.col("top_category"), served.categories).alias("category"),
        bucket_of(pl.col("last_level1").cast(pl.String), served.level1).alias("last_level1"),
        pl.when(pl.col("history_length") > 0)
        .then(pl.col("unknown_items") / pl.col("history_length"))
        .alias("unknown_items"),
        pl.col("cold").cast(pl.Float64).alias("cold_users"),
        pl.when(shown > 0).then(mass.clip(0.0, 1.0)).alias("list_probability"),
        pl.when(shown > 1)
        .then((within.list.first().cast(pl.Float64) / shown.cast(pl.Float64).log()).clip(0.0, 1.0))
        .alias("list_entropy"),
        pl.col("degraded").is_not_null().cast(pl.Float64).alias("degraded"),
        ((milliseconds / FASTEST_MS).log() / math.log(SLOWEST_MS / FASTEST_MS)).alias("latency"),
    )


def _slots(requests: pl.DataFrame, served: ServedItems) -> pl.DataFrame:
    slots = requests.select(USER_HASH, pl.col("items").alias(columns.ITEM)).explode(columns.ITEM).drop_nulls()
    return slots.join(served.items, columns.ITEM, "left").select(
        USER_HASH,
        bucket_of(pl.col("level1"), served.level1).alias("shown_level1"),
        pl.col("surprise").alias("novelty"),
        pl.col("head").cast(pl.Float64).alias("popularity_bias"),
    )


def _lists(requests: pl.DataFrame) -> pl.DataFrame:
    """One list of each user, beside that of the user who comes next in the order of hashes: a random other one."""
    shown = requests.select(USER_HASH, "items").filter(pl.col("items").list.len() > 0)
    one = shown.unique(USER_HASH, keep="last", maintain_order=True)
    pairs = one.sort(USER_HASH).with_columns(pl.col("items").shift(-1).alias("other"))
    shared = pl.col("items").list.set_intersection("other").list.len()
    return pairs.select(USER_HASH, (shared / pl.col("items").list.len()).alias("list_overlap"))


def _events(evidence: Evidence, served: ServedItems) -> pl.DataFrame:
    received = pl.col("received")
    return evidence.feedback.filter(received >= evidence.window.start).select(
        USER_HASH,
        (~pl.col("request_id").is_in(evidence.request_ids.implode())).cast(pl.Float64).alias("unmatched_feedback"),
        (received - pl.col(columns.TIMESTAMP) > evidence.match_seconds).cast(pl.Float64).alias("late_feedback"),
        pl.when(pl.col("kind") != "impression")
        .then((~pl.col(columns.ITEM).is_in(served.items[columns.ITEM].implode())).cast(pl.Float64))
        .alias("new_item_demand"),
    )


def _cut(value: pl.Expr, edges: Sequence[int], buckets: Sequence[str]) -> pl.Expr:
    """The bucket of a number: the first one whose upper edge it does not exceed."""
    bucket = pl.lit(buckets[len(edges)])
    for edge, name in zip(reversed(edges), reversed(buckets[: len(edges)]), strict=True):
        bucket = pl.when(value <= edge).then(pl.lit(name)).otherwise(bucket)
    return pl.when(value.is_not_null()).then(bucket)
