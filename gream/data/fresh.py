"""Fresh feedback joins a catalog, and the latest of it is held out: what a retraining learns from, and is asked after.

Time is that of the server that took an event. A client's clock only orders what arrived in the same second.

Left out and counted in the catalog's `skipped`:

- `known_new_item`: rows of the table of new items that the catalog has already;
- `unknown_item`: feedback about items that neither the catalog nor the new items have;
- `repeated_item`: a user's event with the same item as the one before, such as the purchase after a click;
- `flood`: a user's oldest fresh events where there are more than `MOST_FRESH_EVENTS`;
- `after_until`: events of the catalog itself that are later than what this retraining may know;
- `held_out`: events from the cut on.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import polars as pl

from gream import columns
from gream.data.assembly import add_skipped
from gream.data.catalog import INTERACTION_SCHEMA, Catalog
from gream.data.held_out import HISTORY, HeldOut
from gream.errors import ConfigError, DataError

MOST_FRESH_EVENTS: Final = 200
"""Of one user, the newest: nobody's flood may shape the policy of all."""
TAKEN: Final = ("click", "purchase")
"""Kinds of feedback that say that a user took an item."""
RECEIVED: Final = "received"


@dataclass(frozen=True)
class Cut:
    """What a retraining may know, in seconds since 1970 (UTC).

    Attributes:
        hold_out_since: from here on nothing trains.
        until: from here on nothing counts at all.
    """

    hold_out_since: int
    until: int

    def __post_init__(self) -> None:
        if not 0 < self.hold_out_since < self.until:
            raise ConfigError(
                f"a retraining needs 0 < hold_out_since < until; got {self.hold_out_since} and {self.until}."
            )


def last_event(catalog: Catalog) -> int:
    """Time of the catalog's last event; feedback that arrived later is fresh."""
    return int(catalog.interactions[columns.TIMESTAMP].to_numpy().max())


def join_feedback(
    base: Catalog, feedback: pl.DataFrame, new_items: pl.DataFrame | None, cut: Cut
) -> tuple[Catalog, HeldOut]:
    """A catalog with what has happened since, up to the cut, and what happened after it.

    Args:
        base: the catalog so far.
        feedback: `gream.monitoring.evidence.FEEDBACK_SCHEMA`, each event once; what is not later than the catalog's
            last event, or not before `cut.until`, does not count.
        new_items: `ITEM_SCHEMA`, or None.
        cut: between training and hold-out.

    Returns:
        The catalog to train on, every event of it before the cut, and the hold-out: the first event from the cut on
        of each user who has one.

    Raises:
        DataError: there is no fresh event, nobody has one from the cut on, or none of the catalog is before the cut.
    """
    skipped = dict(base.facts.skipped)
    items = base.items
    if new_items is not None:
        unseen = new_items.join(items, on=columns.ITEM, how="anti", maintain_order="left")
        add_skipped(skipped, "known_new_item", new_items.height - unseen.height)
        items = pl.concat([items, unseen])
    fresh = _fresh_events(base, feedback, items, cut, skipped)
    events = pl.concat([base.interactions, fresh], how="diagonal").sort(
        columns.USER, columns.TIMESTAMP, maintain_order=True
    )
    time = pl.col(columns.TIMESTAMP)
    known, late = events.filter(time < cut.hold_out_since), events.filter(time >= cut.hold_out_since)
    held = late.filter(time < cut.until)
    add_skipped(skipped, "after_until", late.height - held.height)
    add_skipped(skipped, "held_out", held.height)
    if held.is_empty():
        what = (
            f"there are no fresh events: of the items that are known, none was taken after {_clock(last_event(base))}, "
            f"the catalog's last event, and before until = {_clock(cut.until)}"
            if fresh.is_empty()
            else f"nobody took an item from hold_out_since = {_clock(cut.hold_out_since)} to until = "
            f"{_clock(cut.until)}: the hold-out would be empty"
        )
        raise DataError(f"{what}. Nothing can be retrained on, or judged by, this window.")
    facts = base.facts.model_copy(
        update={"source": f"{base.facts.source}; feedback before {cut.hold_out_since}", "skipped": skipped}
    )
    return replace(base, interactions=known, items=items, facts=facts), _held_out(known, held)


def _fresh_events(
    base: Catalog, feedback: pl.DataFrame, items: pl.DataFrame, cut: Cut, skipped: dict[str, int]
) -> pl.DataFrame:
    """The events that count, `INTERACTION_SCHEMA`, each user's in the order of time; the others are counted."""
    received = pl.col(RECEIVED)
    taken = feedback.filter(pl.col("kind").is_in(TAKEN), received > last_event(base), received < cut.until)
    known = taken.join(items, on=columns.ITEM, how="semi").sort(columns.USER, RECEIVED, columns.TIMESTAMP, "event_id")
    add_skipped(skipped, "unknown_item", taken.height - known.height)
    last = base.interactions.group_by(columns.USER, maintain_order=True).agg(pl.col(columns.ITEM).last().alias("last"))
    before = pl.col(columns.ITEM).shift(1).over(columns.USER).fill_null(pl.col("last"))
    steps = known.join(last, on=columns.USER, how="left", maintain_order="left").filter(
        before.ne_missing(pl.col(columns.ITEM))
    )
    add_skipped(skipped, "repeated_item", known.height - steps.height)
    newest = steps.group_by(columns.USER, maintain_order=True).tail(MOST_FRESH_EVENTS)
    add_skipped(skipped, "flood", steps.height - newest.height)
    return newest.select(columns.USER, columns.ITEM, received.alias(columns.TIMESTAMP)).cast(
        dict(INTERACTION_SCHEMA)  # type: ignore[arg-type]  # polars' own stubs want less than they take.
    )


def _held_out(known: pl.DataFrame, held: pl.DataFrame) -> HeldOut:
    first = held.group_by(columns.USER, maintain_order=True).first()
    histories = known.group_by(columns.USER, maintain_order=True).agg(pl.col(columns.ITEM).alias(HISTORY))
    return HeldOut(
        first.join(histories, on=columns.USER, how="left", maintain_order="left").select(
            columns.USER, pl.col(HISTORY).fill_null([]), columns.ITEM, columns.TIMESTAMP
        )
    )


def _clock(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
