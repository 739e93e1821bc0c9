"""The moment of an event: when it is known, finer than the clock of the catalog.

Feast joins features by time alone, and a catalog counts whole seconds: one user often has many events in one of them
(MovieLens users rate whole pages at once). So the moment of an event is its second, plus one microsecond for each
earlier event of the same user in the same second. Within a user moments are distinct and follow the catalog's order,
and "strictly before this event" means the same as in the catalog: the events that precede it in the user's sequence.

Where a catalog has an order but no clock (`ordinal_time`), position p counts as second p: moments then lie on the first
days of 1970 and mean nothing but the order within a user.
"""

import polars as pl

from feature_repo.names import EVENT_TIMESTAMP
from gream import columns


def add_moments(events: pl.DataFrame) -> pl.DataFrame:
    """The events with their moments as `event_timestamp`.

    Args:
        events: user and timestamp, at least. A user's events of one second must stand in the order of the catalog.
    """
    ties_before = pl.int_range(pl.len()).over(columns.USER, columns.TIMESTAMP)
    return events.with_columns(
        (second(pl.col(columns.TIMESTAMP)) + pl.duration(microseconds=ties_before)).alias(EVENT_TIMESTAMP)
    )


def second(timestamp: pl.Expr) -> pl.Expr:
    """Seconds since 1970 as the kind of datetime that Feast compares: microseconds, UTC."""
    return pl.from_epoch(timestamp, time_unit="s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
