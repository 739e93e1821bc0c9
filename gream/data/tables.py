"""Any two tables: interactions and items as CSV, TSV or Parquet, with their own column names.

Required: user, item and timestamp of each event; item and title of each item. Optional: rating and review;
description, brand and categories (a list, or one text with names separated by `|`, `>` or `;`). Texts lose their HTML.
The evaluation ranks all items, seen ones included: only the shop knows whether its customers come back to an item.
"""

import re
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from gream import columns
from gream.artifacts import file_digest
from gream.data.assembly import assemble
from gream.data.catalog import Catalog, CatalogFacts
from gream.data.table_files import SEPARATORS, first_row, read_table, row_namer
from gream.data.text import ID_CHARACTERS, clean_text, distinct_names
from gream.data.timestamps import parse_timestamps
from gream.errors import DataError

_CATEGORY_SEPARATORS = re.compile(r"[|>;]")
_OTHER_SEPARATORS = re.compile(r"[;|,\t]")
_TIME_ORDER = "time_order"


class ColumnMapping(BaseModel):
    """The user's name for each of our columns; a name that is not given is the same as ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: str = columns.USER
    item_id: str = columns.ITEM
    item_id_in_items: str | None = None
    """The item id's name in the items table, where it is another one than in the interactions."""
    timestamp: str = columns.TIMESTAMP
    rating: str = columns.RATING
    review: str = columns.REVIEW
    title: str = columns.TITLE
    description: str = columns.DESCRIPTION
    brand: str = columns.BRAND
    categories: str = columns.CATEGORIES


def import_tables(interactions: Path, items: Path, *, k: int, mapping: ColumnMapping | None = None) -> Catalog:
    """Read two tables; the dataset takes the name of the folder that holds the interactions.

    Args:
        interactions: one row for each event.
        items: one row for each item.
        k: the k of the k-core; 0 or 1 keeps everything.
        mapping: the tables' column names, where they differ from ours.

    Raises:
        DataError: a file cannot be read, a column or value is missing, an id is too long, an item of an event is not in
            the items table or twice in it, or timestamps or ratings cannot be understood.
    """
    names = mapping or ColumnMapping()
    events, ordinal = _read_events(interactions, names)
    texts = read_items(items, names)
    _check_items_are_known(events, texts, interactions, items)
    return assemble(
        # The finer clock of the source decides before the catalog's seconds make ties of it.
        events.sort(_TIME_ORDER, maintain_order=True).drop(_TIME_ORDER),
        texts,
        CatalogFacts(
            dataset=interactions.resolve().parent.name,
            source=", ".join(f"{path.name} (SHA-256 {file_digest(path)})" for path in (interactions, items)),
            exclude_seen=False,
            ordinal_time=ordinal,
        ),
        k=k,
    )


def _read_events(path: Path, names: ColumnMapping) -> tuple[pl.DataFrame, bool]:
    """Events in the file's order with `_TIME_ORDER` beside them, and whether time is ordinal."""
    table = read_table(path)
    if table.is_empty():
        raise DataError(f"{path} has no rows. At least one event is needed.")
    user, item, timestamp = (
        _required(table, path, name, getattr(names, name), name, names)
        for name in (columns.USER, columns.ITEM, columns.TIMESTAMP)
    )
    times = parse_timestamps(timestamp, row_namer(path))
    events = [
        _ids(user, path),
        _ids(item, path),
        times.seconds().alias(columns.TIMESTAMP),
        times.values.alias(_TIME_ORDER),
    ]
    rating = _optional(table, path, columns.RATING, names)
    if rating is not None:
        events.append(_numbers(rating, path))
    review = _optional(table, path, columns.REVIEW, names)
    if review is not None:
        events.append(_texts(review, path))
    return pl.DataFrame(events), times.ordinal


def read_items(path: Path, mapping: ColumnMapping | None = None) -> pl.DataFrame:
    """The columns of an items table that are understood, under our names; see `assemble` for what may be missing.

    Args:
        path: the table.
        mapping: its column names; None where they are ours, because nobody could give others.

    Raises:
        DataError: the file cannot be read, the column of titles is missing, an id is missing or too long, or an item is
            twice in it.
    """
    table, names = read_table(path), mapping or ColumnMapping()
    theirs = names.item_id_in_items or names.item_id
    ids = _ids(_required(table, path, columns.ITEM, theirs, "item_id_in_items", mapping), path)
    if ids.is_duplicated().any():
        place = row_namer(path)
        second = first_row(~ids.is_first_distinct())
        first = first_row(ids == ids[second])
        raise DataError(f"{place(second)} repeats item {ids[second]!r} of {place(first)}. Keep one of them.")
    items = [ids, _texts(_required(table, path, columns.TITLE, names.title, columns.TITLE, mapping), path)]
    for name in (columns.DESCRIPTION, columns.BRAND):
        text = _optional(table, path, name, names)
        if text is not None:
            items.append(_texts(text, path))
    categories = _optional(table, path, columns.CATEGORIES, names)
    if categories is not None:
        items.append(_name_lists(categories, path))
    return pl.DataFrame(items)


def _required(
    table: pl.DataFrame, path: Path, name: str, theirs: str, field: str, mapping: ColumnMapping | None
) -> pl.Series:
    """The column that they call `theirs`, as a field of the mapping could tell, where there may be one."""
    if theirs in table.columns:
        return table[theirs].alias(name)
    if path.suffix in SEPARATORS and table.width == 1 and _OTHER_SEPARATORS.search(table.columns[0]):
        raise DataError(
            f"{path} has one column, {table.columns[0]!r}: separate fields by commas in a .csv, by tabs in a .tsv."
        )
    mapped = ""
    if mapping is not None:  # Whole, since a setting replaces the one before.
        fields = {**mapping.model_dump(include=mapping.model_fields_set), field: "NAME"}
        told = ", ".join(f'{ours} = "{column}"' for ours, column in fields.items())
        mapped = f", or name it: --set 'data.columns={{{told}}}'"
    raise DataError(
        f"{path} has no column {theirs!r} for {name}; its columns are {', '.join(table.columns)}. Rename it{mapped}."
    )


def _optional(table: pl.DataFrame, path: Path, name: str, names: ColumnMapping) -> pl.Series | None:
    """The column, or None where the table has none and the mapping names none."""
    theirs: str = getattr(names, name)
    if theirs not in table.columns and name not in names.model_fields_set:
        return None
    return _required(table, path, name, theirs, name, names)


def _ids(column: pl.Series, path: Path) -> pl.Series:
    if not (column.dtype.is_integer() or isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum)):
        raise DataError(f"{path}: {column.name} has type {column.dtype}; ids must be texts or whole numbers.")
    ids = column.cast(pl.String)
    missing = ids.is_null() | (ids == "")
    if missing.any():
        raise DataError(f"{row_namer(path)(first_row(missing))} has no {column.name}. Fill it in or remove the row.")
    lengths = ids.str.len_chars()
    long = lengths > ID_CHARACTERS
    if long.any():
        row = first_row(long)
        raise DataError(
            f"{row_namer(path)(row)} has {lengths[row]:,} characters in its {column.name}; an id has at most "
            f"{ID_CHARACTERS}. Shorten it."
        )
    return ids


def _numbers(column: pl.Series, path: Path) -> pl.Series:
    """Floats; an empty text is null."""
    texts = column.cast(pl.String).str.strip_chars()
    numbers = texts.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & texts.is_not_null() & (texts != "")
    if wrong.any():
        row = first_row(wrong)
        raise DataError(f"{row_namer(path)(row)} has the {column.name} {column[row]!r}; a number or nothing is needed.")
    return numbers


def _texts(column: pl.Series, path: Path) -> pl.Series:
    """Plain texts; nothing is an empty text."""
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise DataError(f"{path}: {column.name} has type {column.dtype}; a text is needed.")
    texts = [clean_text(text or "") for text in column.cast(pl.String)]
    return pl.Series(column.name, texts, dtype=pl.String)


def _name_lists(column: pl.Series, path: Path) -> pl.Series:
    """Lists of distinct names, from lists or separated texts."""
    if column.dtype == pl.List(pl.String):
        rows = column.to_list()
    else:
        rows = [_CATEGORY_SEPARATORS.split(text or "") for text in _texts(column, path)]
    names = [distinct_names(name for name in row or [] if name) for row in rows]
    return pl.Series(column.name, names, dtype=pl.List(pl.String))


def _check_items_are_known(events: pl.DataFrame, texts: pl.DataFrame, interactions: Path, items: Path) -> None:
    unknown = ~events[columns.ITEM].is_in(texts[columns.ITEM].implode())
    if unknown.any():
        row = first_row(unknown)
        count = events.filter(unknown)[columns.ITEM].n_unique()
        raise DataError(
            f"{row_namer(interactions)(row)} has item {events[columns.ITEM][row]!r}, which {items.name} does not hold "
            f"({count:,} such items). Add them there, or remove their events."
        )
