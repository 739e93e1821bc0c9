"""Delayed labels: what users did after they were shown something, for requests whose time for it is over.

Two questions, because feedback comes in two ways:

- *click-through*: was one of the shown items clicked or bought, by an event that names the request?
- *hit rate and NDCG*: is the first item that the user took after the request, wherever they found it, in the list, and
  at which rank? This asks the same as the offline evaluation, so the two can be compared. Without such an item the
  request has no label.

Clocks count whole seconds, and a page asks again as soon as its user has clicked. Of an event and a request of the same
second the event came later where it names that request, or names none and the user's list before has had its event;
otherwise it is owed to that list. Where a user's events of a second do both, those that name a request decide for all.
"""

from dataclasses import replace
from typing import Final

import polars as pl

from gream import columns
from gream.monitoring.evidence import USER_HASH, Evidence
from gream.monitoring.evidence_reader import CLOCK_SECONDS

_ASKED: Final = ("request_id", columns.TIMESTAMP, USER_HASH, "policy_version", "items")
"""What labels need of requests."""


def label_requests(evidence: Evidence) -> pl.DataFrame:
    """A row for each settled request: `request_id`, `user`, `policy_version`, `click_rate` (0 or 1), and null without
    a label `hit_rate`, `ndcg` and `event`, the id of the event that is the label; ordered by time.

    An event that names a request belongs to it if it arrived within `match_seconds`, or up to `CLOCK_SECONDS` before:
    two servers may have taken the two. Any other event is known to come after a request by the time of its arrival.
    """
    taken = evidence.feedback.filter(pl.col("kind") != "impression")
    requests = evidence.settled.select(_ASKED).sort(columns.TIMESTAMP, "request_id")
    after = pl.col("received") - pl.col(columns.TIMESTAMP)
    clicked = (
        requests.join(taken.select("request_id", "received", columns.ITEM), "request_id")
        .filter(after.is_between(-CLOCK_SECONDS, evidence.match_seconds))
        .filter(pl.col(columns.ITEM).is_in(pl.col("items")))["request_id"]
    )
    # A second has three moments: events that are owed to earlier requests, requests, and events after these.
    labelled = (
        requests.drop("items")
        .with_columns(moment=3 * pl.col(columns.TIMESTAMP) + 1)
        .join_asof(
            taken.join(_own_second(evidence, taken), "event_id")
            .with_columns(moment=3 * pl.col("received") + 2 * pl.col("own_second").cast(pl.Int64))
            .sort("moment", columns.TIMESTAMP, "event_id")
            .select(USER_HASH, "moment", pl.col("event_id").alias("event"), pl.col(columns.ITEM).alias("label")),
            on="moment",
            by=USER_HASH,
            strategy="forward",
            tolerance=3 * evidence.match_seconds + 1,
            check_sortedness=False,
        )
    )
    ranks = (
        requests.select("request_id", pl.col("items").alias("label"))
        .join(labelled.filter(pl.col("label").is_not_null()), "request_id", "semi")
        .with_columns(pl.int_ranges(1, pl.col("label").list.len() + 1).alias("rank"))
        .explode("label", "rank")
    )
    ranked = labelled.join(ranks, ["request_id", "label"], "left", maintain_order="left")
    found = pl.when(pl.col("label").is_not_null())
    return ranked.select(
        "request_id",
        USER_HASH,
        "policy_version",
        "event",
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
    labels = label_requests(replace(evidence, settled=_asked(evidence)))
    last = pl.col("event").is_last_distinct()
    return labels.with_columns(pl.when(last).then(pl.col("hit_rate", "ndcg"))).join(
        evidence.settled, "request_id", "semi"
    )


def _asked(evidence: Evidence) -> pl.DataFrame:
    """All requests, settled or not."""
    return pl.concat([evidence.settled.select(_ASKED), evidence.requests.select(_ASKED)]).unique("request_id")


def _own_second(evidence: Evidence, taken: pl.DataFrame) -> pl.DataFrame:
    """`event_id` and `own_second`: whether an event comes after the user's requests of the second it arrived in."""
    at, names = [USER_HASH, "received"], pl.col("request_id").is_not_null()
    asked = _asked(evidence).select(USER_HASH, "request_id", pl.col(columns.TIMESTAMP).alias("received"))
    events = taken.join(asked.with_columns(own=True), ["request_id", *at], "left").with_columns(
        pl.when(names).then(pl.col("own").fill_null(value=False))
    )
    seconds = (
        asked.select(*at, asked=True)
        .unique()
        .join(events.group_by(at).agg(pl.col("own").any(), names.any().alias("named")), at, "full", coalesce=True)
        .sort(at)
        .with_columns(pl.when("asked").then("received").forward_fill().shift(1).over(USER_HASH).alias("before"))
    )
    alone = pl.col("before").is_null() | (pl.col("received") - pl.col("before") > evidence.match_seconds)
    # Whether the last list still waits for what its user takes. A click that names nothing leaves that as it was.
    waits = (
        pl.when(pl.col("asked").is_null() | pl.col("own"))
        .then(False)
        .when(pl.col("named").is_null() | pl.col("named"))
        .then(True)
        .when(alone)
        .then(False)
    )
    seconds = seconds.with_columns(waits.forward_fill().over(USER_HASH).alias("waits"))
    return events.join(seconds.select(*at, "waits"), at).select(
        "event_id", pl.coalesce("own", ~pl.col("waits")).alias("own_second")
    )
