"""The last step of every importer: raw rows become a catalog, and every row left out is counted."""

import polars as pl

from gream import columns
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, OPTIONAL_INTERACTION_SCHEMA, Catalog, CatalogFacts
from gream.data.filtering import drop_duplicate_events, k_core

_PLACEHOLDER = "Item {}"
_PLACEHOLDER_TITLE = pl.format(_PLACEHOLDER, pl.col(columns.ITEM))
"""What an item without a title is called: a title is needed wherever an item is shown."""


def known_title(item: str, title: str) -> str:
    """The title that an item's own shop gave it, or "": what an untitled item is called tells nothing of it.

    Whatever learns from titles, or compares them, asks for this one; whatever shows them takes the table's.

    >>> known_title("7", "Pen"), known_title("7", "Item 7")
    ('Pen', '')
    """
    return "" if title == _PLACEHOLDER.format(item) else title


def assemble(interactions: pl.DataFrame, items: pl.DataFrame, facts: CatalogFacts, *, k: int) -> Catalog:
    """Drop duplicate events, take the k-core, put events in time order and give every item a title.

    Args:
        interactions: user, item, timestamp (+ optional rating, review) in the source's order.
        items: item, title (+ optional description, brand, categories); nulls and missing columns become empty.
        facts: provenance; `skipped` may already count what the importer left out.
        k: the k of the k-core. With 0 or 1 the filter is off, and items without any event stay in the catalog.

    Raises:
        DataError: nothing is left, an item is unknown or twice in the table, or an id is missing.
    """
    skipped = dict(facts.skipped)
    distinct = drop_duplicate_events(interactions)
    add_skipped(skipped, "duplicate_event", interactions.height - distinct.height)
    core = k_core(distinct, k)
    add_skipped(skipped, "k_core", distinct.height - core.height)
    kept = items if k <= 1 else items.join(core, on=columns.ITEM, how="semi", maintain_order="left")
    add_skipped(skipped, "k_core_items", items.height - kept.height)
    texts = complete_items(kept)
    untitled = texts.filter(pl.col(columns.TITLE) == _PLACEHOLDER_TITLE).height
    optional = {name: dtype for name, dtype in OPTIONAL_INTERACTION_SCHEMA.items() if name in core.columns}
    return Catalog(
        interactions=core.select(pl.col(name).cast(dtype) for name, dtype in (INTERACTION_SCHEMA | optional).items())
        # Stable: equal timestamps keep the source's order. Sorting ties by item would invent a pattern to learn.
        .sort(columns.USER, columns.TIMESTAMP, maintain_order=True),
        items=texts,
        facts=facts.model_copy(update={"skipped": skipped, "untitled": untitled}),
    )


def add_skipped(skipped: dict[str, int], reason: str, count: int) -> None:
    """Count rows left out for a reason; reasons that never happened are not mentioned."""
    if count:
        skipped[reason] = skipped.get(reason, 0) + count


def complete_items(items: pl.DataFrame) -> pl.DataFrame:
    """All columns of `ITEM_SCHEMA`, in order, without nulls and with a title for every item."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in ITEM_SCHEMA.items() if name not in items.columns]
    texts = (
        items.with_columns(missing)
        .select(pl.col(name).cast(dtype) for name, dtype in ITEM_SCHEMA.items())
        .with_columns(
            pl.col(columns.TITLE, columns.DESCRIPTION, columns.BRAND).fill_null("").str.strip_chars(),
            pl.col(columns.CATEGORIES).fill_null([]),
        )
    )
    title = pl.when(pl.col(columns.TITLE) == "").then(_PLACEHOLDER_TITLE).otherwise(pl.col(columns.TITLE))
    return texts.with_columns(title.alias(columns.TITLE))
