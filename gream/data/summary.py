"""What a catalog holds, as a short plain-text table for the terminal."""

from collections.abc import Mapping

import polars as pl

from gream import columns
from gream.data.catalog import Catalog

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEFT_OUT = {
    "duplicate_event": "duplicate events",
    "duplicate_metadata": "further records of an item",
    "item_without_metadata": "events of items without a record",
    "k_core": "events below data.k_core",
    "k_core_items": "items below data.k_core",
}
"""What importers leave out; the reasons of a retraining's catalog are shown as they are."""


def describe(catalog: Catalog) -> str:
    """Counts, density, lengths, text coverage, rows left out and the evaluation protocol, one fact a line."""
    events, items, facts = catalog.interactions, catalog.items, catalog.facts
    users = events[columns.USER].n_unique()
    pairs = events.select(columns.USER, columns.ITEM).n_unique()
    rows = [
        ("dataset", facts.dataset),
        ("source", facts.source),
        ("users", f"{users:,}"),
        ("items", f"{items.height:,}"),
        ("interactions", f"{events.height:,}"),
        ("density", f"{pairs / (users * items.height):.3%} of all user-item pairs"),
        ("events per user", _lengths(events, columns.USER)),
        ("events per item", _lengths(events, columns.ITEM)),
        ("repeats", f"{events.height - pairs:,} events return to an item"),
        ("time", _time(catalog)),
        ("text coverage", _coverage(catalog)),
        ("untitled items", f"{facts.untitled:,}"),
        ("left out", _left_out(facts.skipped)),
        ("protocol", f"leave-last-one-out, seen items {'excluded' if facts.exclude_seen else 'kept'}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _lengths(events: pl.DataFrame, column: str) -> str:
    lengths = events.group_by(column).len()["len"]
    quantiles = "/".join(f"{lengths.quantile(q, 'nearest'):.0f}" for q in _QUANTILES)
    return f"{quantiles} (min/quartiles/max), mean {events.height / len(lengths):.1f}"


def _time(catalog: Catalog) -> str:
    if catalog.facts.ordinal_time:
        return "an order without a clock"
    days = pl.from_epoch(catalog.interactions[columns.TIMESTAMP]).dt.strftime("%Y-%m-%d")
    return f"{days.min()!s} to {days.max()!s}"


def _left_out(skipped: Mapping[str, int]) -> str:
    counts = (f"{count:,} {_LEFT_OUT.get(reason, reason)}" for reason, count in sorted(skipped.items()))
    return ", ".join(counts) or "nothing"


def _coverage(catalog: Catalog) -> str:
    events, items = catalog.interactions, catalog.items
    filled = {
        columns.TITLE: items.height - catalog.facts.untitled,
        columns.DESCRIPTION: items.filter(pl.col(columns.DESCRIPTION) != "").height,
        columns.BRAND: items.filter(pl.col(columns.BRAND) != "").height,
        columns.CATEGORIES: items.filter(pl.col(columns.CATEGORIES).list.len() > 0).height,
    }
    shares = [f"{name} {count / items.height:.1%}" for name, count in filled.items()]
    reviews = events.get_column(columns.REVIEW, default=None)
    if reviews is not None:
        written = int((reviews.fill_null("") != "").sum())
        shares.append(f"{columns.REVIEW} {written / events.height:.1%} of events")
    return ", ".join(shares)
