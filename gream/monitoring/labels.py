"""Delayed labels: what users did after they were shown something, for requests whose time for it is over.

Two questions, because feedback comes in two ways:

- *click-through*: was one of the shown items clicked or bought, by an event that names the request?
- *hit rate and NDCG*: is the first item that the user took after the request, wherever they found it, in the list, and
  at which rank? This asks the same as the offline evaluation, so the two can be compared. Without such an item the
  request has no label.
"""

import polars as pl

from gream import columns
from gream.monitoring.evidence import USER_HASH, Evidence
from gream.monitoring.evidence_reader import CLOCK_SECONDS


def label_requests(evidence: Evidence) -> pl.DataFrame:
    """A row for each settled request: `request_id`, `user`, `policy_version`, `click_rate` (0 or 1), and null without
    a label `hit_rate`, `ndcg` and `taken`, the time at which the label arrived.

    An event that names a request belongs to it if it arrived within `match_seconds`, or up to `CLOCK_SECONDS` before:
    two servers may have taken the two. Any other event is known to come after a request by the time of its arrival.
    """
    taken = evidence.feedback.filter(pl.col("kind") != "impression").sort("received", columns.TIMESTAMP, "event_id")
    requests = evidence.settled.select("request_id", columns.TIMESTAMP, USER_HASH, "policy_version", "items").sort(
        columns.TIMESTAMP
    )
    after = pl.col("received") - pl.col(columns.TIMESTAMP)
    clicked = (
        requests.join(taken.select("request_id", "received", columns.ITEM), "request_id")
        .filter(after.is_between(-CLOCK_SECONDS, evidence.match_seconds))
        .filter(pl.col(columns.ITEM).is_in(pl.col("items")))["request_id"]
    )
    labelled = requests.join_asof(
        taken.select(
            USER_HASH,
            pl.col("received").alias(columns.TIMESTAMP),
            pl.col("received").alias("taken"),
            pl.col(columns.ITEM).alias("label"),
        ),
        on=columns.TIMESTAMP,
        by=USER_HASH,
        strategy="forward",
        tolerance=evidence.match_seconds,
        check_sortedness=False,
    )
    ranks = (
        requests.select("request_id", pl.col("items").alias("label"))
        .with_columns(pl.int_ranges(1, pl.col("label").list.len() + 1).alias("rank"))
        .explode("label", "rank")
    )
    ranked = labelled.join(ranks, ["request_id", "label"], "left")
    found = pl.when(pl.col("label").is_not_null())
    return ranked.select(
        "request_id",
        USER_HASH,
        "policy_version",
        "taken",
        pl.col("request_id").is_in(clicked.implode()).cast(pl.Float64).alias("click_rate"),
        found.then(pl.col("rank").is_not_null().cast(pl.Float64)).alias("hit_rate"),
        found.then((1.0 / (pl.col("rank") + 1).log(2)).fill_null(0.0)).alias("ndcg"),
    )


def label_last_requests(evidence: Evidence) -> pl.DataFrame:
    """As `label_requests`, with a hit only for the last request before it: where the user has asked again before they
    took something, `hit_rate` and `ndcg` are null.

    So it must be where several policies answer the same users, whose evidence this takes all together: what a user
    takes after two lists is owed to the later one, and the policy with more traffic has given more of the later ones.
    """
    asked = pl.concat([evidence.settled, evidence.requests]).unique("request_id").sort(columns.TIMESTAMP, "request_id")
    again = asked.select("request_id", pl.col(columns.TIMESTAMP).shift(-1).over(USER_HASH).alias("again"))
    last = pl.col("again").is_null() | (pl.col("again") > pl.col("taken"))
    return (
        label_requests(evidence)
        .join(again, "request_id", "left")
        .with_columns(pl.when(last).then(pl.col("hit_rate", "ndcg")))
    )
