"""Raw Amazon dumps of 2014 and 2018 (J. McAuley's group): gzipped reviews and metadata, one record a line.

Reviews are JSON. Metadata is JSON in 2018 and one Python literal a line in 2014; each line is read as what it is, the
literals by `ast.literal_eval`, which cannot run code. Files are streamed, and texts are kept only for what the k-core
keeps: 1) reviews without their texts, k-core; 2) metadata of the items left; 3) review texts of the events left.
Events of items without metadata go out between 2) and 3), and the assembly takes the k-core again: the result is the
same as without the first filter, because the k-core of a part lies within the k-core of the whole.

Published numbers on these dumps rank all items, seen ones included.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gream import columns
from gream.artifacts import file_digest
from gream.data.assembly import add_skipped, assemble
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.data.filtering import drop_duplicate_events, k_core
from gream.data.gzip_lines import read_lines
from gream.data.text import field_text, flatten_paths, whole_id, whole_text
from gream.data.timestamps import parse_timestamps
from gream.errors import DataError

_LINE = "line"
_CHUNK = 200_000
_ASIN = re.compile(r"""["']asin["']\s*:\s*["']([^"']+)["']""")
_PAGE_SCRIPT = "getTime"
"""In the 2018 dump, titles that were scraped as a piece of the page's JavaScript contain this; they are no titles."""


def import_amazon(reviews: Path, metadata: Path, *, k: int) -> Catalog:
    """Read one category's dump.

    Args:
        reviews: e.g. `reviews_Beauty_5.json.gz` (2014) or `All_Beauty_5.json.gz` (2018).
        metadata: e.g. `meta_Beauty.json.gz`.
        k: the k of the k-core; 0 or 1 keeps everything.

    Raises:
        DataError: a file is damaged or not UTF-8, a line is no record or lacks a field, times or ratings cannot be
            understood, or nothing is left.
    """
    skipped: dict[str, int] = {}
    events, ordinal = _read_events(reviews)
    distinct = drop_duplicate_events(events)
    add_skipped(skipped, "duplicate_event", events.height - distinct.height)
    candidates = k_core(distinct, k)
    add_skipped(skipped, "k_core", distinct.height - candidates.height)
    items, repeated = _read_items(metadata, wanted=set(candidates[columns.ITEM]))
    add_skipped(skipped, "duplicate_metadata", repeated)
    described = candidates.join(items, on=columns.ITEM, how="semi", maintain_order="left")
    if described.is_empty():
        raise DataError(
            f"{metadata} describes none of the {candidates[columns.ITEM].n_unique():,} items in {reviews.name}. "
            "Do both files belong to the same category?"
        )
    add_skipped(skipped, "item_without_metadata", candidates.height - described.height)
    return assemble(
        described.join(_read_texts(reviews, wanted=set(described[_LINE])), on=_LINE, maintain_order="left"),
        items,
        CatalogFacts(
            dataset=metadata.name.removeprefix("meta_").removesuffix(".json.gz"),
            source=", ".join(f"{path.name} (SHA-256 {file_digest(path)})" for path in (reviews, metadata)),
            exclude_seen=False,
            ordinal_time=ordinal,
            skipped=skipped,
        ),
        k=k,
    )


def _read_events(path: Path) -> tuple[pl.DataFrame, bool]:
    """User, item, timestamp, rating and line number of every review, in the file's order; whether time is ordinal."""
    # Times as they are written: whether they are of one unit, only the whole column tells.
    schema = {**INTERACTION_SCHEMA, columns.TIMESTAMP: pl.String(), columns.RATING: pl.Float64(), _LINE: pl.Int64()}
    chunks = [pl.DataFrame(schema=schema)]
    rows: list[tuple[Any, ...]] = []
    for number, text in read_lines(path):
        review = _record(path, number, text)
        try:
            rating = review.get("overall")
            rows.append(
                (
                    whole_id(review["reviewerID"], f"{path} line {number}: reviewerID"),
                    whole_id(review["asin"], f"{path} line {number}: asin"),
                    whole_text(review["unixReviewTime"], f"{path} line {number}: unixReviewTime"),
                    None if rating is None else float(rating),
                    number,
                )
            )
        except KeyError as error:
            raise DataError(
                f"{path} line {number} has no field {error}; reviews need reviewerID, asin and unixReviewTime."
            ) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path} line {number}: unixReviewTime or overall is not a number ({error}).") from error
        if len(rows) == _CHUNK:
            chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
            rows = []
    chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
    events = pl.concat(chunks)
    if events.is_empty():
        raise DataError(f"{path} holds no reviews. At least one is needed.")
    times = parse_timestamps(events[columns.TIMESTAMP], lambda row: f"{path} line {events[_LINE][row]}")
    return events.with_columns(times.seconds().alias(columns.TIMESTAMP)), times.ordinal


def _read_items(path: Path, wanted: set[str]) -> tuple[pl.DataFrame, int]:
    """Items of `wanted` in the file's order, the first record of each, and how many records repeated one."""
    rows: dict[str, tuple[Any, ...]] = {}
    repeated = 0
    for number, text in _lines_about(path, wanted):
        record = _record(path, number, text)
        if "asin" not in record:
            raise DataError(f"{path} line {number} has no field 'asin', so nobody knows which item it describes.")
        item = str(record["asin"])
        if item not in wanted:
            continue
        if item in rows:
            repeated += 1
            continue
        try:
            categories = flatten_paths(record.get("categories", record.get("category")))
        except TypeError as error:
            raise DataError(f"{path} line {number}: {error}.") from error
        title, description, brand = (field_text(record.get(name)) for name in ("title", "description", "brand"))
        rows[item] = (item, "" if _PAGE_SCRIPT in title else title, description, brand, categories)
    return pl.DataFrame(list(rows.values()), schema=ITEM_SCHEMA, orient="row"), repeated


def _lines_about(path: Path, wanted: set[str]) -> Iterator[tuple[int, str]]:
    """Lines that may describe a wanted item, found without parsing: a dump describes 20 times the items of a core."""
    for number, text in read_lines(path):
        mentioned = _ASIN.findall(text)
        if not mentioned or not wanted.isdisjoint(mentioned):
            yield number, text


def _read_texts(path: Path, wanted: set[int]) -> pl.DataFrame:
    """Headline and body of the reviews on the `wanted` lines."""
    lines, texts = [], []
    for number, text in read_lines(path):
        if number in wanted:
            review = _record(path, number, text)
            parts = (field_text(review.get("summary")), field_text(review.get("reviewText")))
            lines.append(number)
            texts.append("\n".join(part for part in parts if part))
    return pl.DataFrame({_LINE: lines, columns.REVIEW: texts}, schema={_LINE: pl.Int64, columns.REVIEW: pl.String})


def _record(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        # Python writes a dictionary's text keys in single quotes, JSON never does.
        record = ast.literal_eval(text) if text.startswith("{'") else json.loads(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        reason = str(error) or "nested too deeply"  # Python's parser says MemoryError to that, and nothing more.
        raise DataError(
            f"{path} line {number} is neither JSON nor a Python literal ({reason}). Download the file again."
        ) from error
    if not isinstance(record, dict):
        raise DataError(f"{path} line {number} is a {type(record).__name__}; each line must be one record {{...}}.")
    return record
