"""LC-Rec's JSON layout, which GREAM's and MiniOneRec's code use too: `NAME.inter.json` beside `NAME.item.json`.

`NAME.inter.json` maps a user to its items in time order; `NAME.item.json` maps an item to title, description, brand
and categories (paths, a list, or a comma-separated text). There is no clock: timestamps are positions in the sequence.
The published numbers on these files rank all items, seen ones included.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from gream import columns
from gream.artifacts import file_digest
from gream.data.assembly import assemble
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.data.text import field_text, flatten_paths, whole_id
from gream.errors import DataError

_INTER, _ITEM = ".inter.json", ".item.json"


def import_lcrec(folder: Path, *, k: int) -> Catalog:
    """Read the one dataset of that layout in a folder.

    Raises:
        DataError: not exactly one dataset, a file is not the JSON described above or has a key twice, or a sequence
            holds an item that the item file does not know.
    """
    inter_path = _the_one_dataset(folder)
    name = inter_path.name.removesuffix(_INTER)
    item_path = folder / f"{name}{_ITEM}"
    if not item_path.is_file():
        raise DataError(f"{inter_path} has no {item_path.name} beside it, which must hold the items' texts.")
    items = _read_items(item_path)
    return assemble(
        _read_events(inter_path, known=set(items[columns.ITEM]), item_file=item_path.name),
        items,
        CatalogFacts(
            dataset=name,
            source=", ".join(f"{path.name} (SHA-256 {file_digest(path)})" for path in (inter_path, item_path)),
            exclude_seen=False,
            ordinal_time=True,
        ),
        k=k,
    )


def _the_one_dataset(folder: Path) -> Path:
    found = sorted(folder.glob(f"*{_INTER}"))
    if len(found) != 1:
        raise DataError(
            f"{folder} holds {len(found)} files *{_INTER} ({', '.join(path.name for path in found)}); "
            "keep one dataset in a folder."
        )
    return found[0]


def _read_json(path: Path) -> dict[str, Any]:
    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # JSON's reader keeps the last one and says nothing.
            [(repeated, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise DataError(f"{path} has {repeated!r} twice in one object. Keep one of them.")
        return found

    try:
        content = json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=without_repeats)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} line {line} is not UTF-8. Convert the file to UTF-8.") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} line {error.lineno} column {error.colno} is not JSON ({error.msg}). Is the file cut short?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} has a number too long or lists too deep to be read ({error}). Correct it.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}; it must be one JSON object, keyed by id.")
    return content


def _read_events(path: Path, *, known: set[str], item_file: str) -> pl.DataFrame:
    rows: list[tuple[str, str, int]] = []
    for number, (user, sequence) in enumerate(_read_json(path).items(), start=1):
        whole_id(user, f"{path}: user {number}")
        if not isinstance(sequence, list):
            raise DataError(f"{path}: user {user!r} has a {type(sequence).__name__}; a list of item ids is needed.")
        for position, value in enumerate(sequence):
            item = whole_id(value, f"{path}: user {user!r}: item at position {position + 1}")
            if item not in known:
                raise DataError(
                    f"{path}: user {user!r} has item {item!r} at position {position + 1}, which {item_file} does not "
                    "hold. Add the item there, or take it out of the sequence."
                )
            rows.append((user, item, position))
    return pl.DataFrame(rows, schema=INTERACTION_SCHEMA, orient="row")


def _read_items(path: Path) -> pl.DataFrame:
    rows = []
    for number, (item, texts) in enumerate(_read_json(path).items(), start=1):
        whole_id(item, f"{path}: item {number}")
        if not isinstance(texts, dict):
            raise DataError(f"{path}: item {item!r} has a {type(texts).__name__}; an object with a title is needed.")
        try:
            categories = flatten_paths(texts.get("categories"))
        except TypeError as error:
            raise DataError(f"{path}: item {item!r}: {error}.") from error
        title, description, brand = (field_text(texts.get(name)) for name in ("title", "description", "brand"))
        rows.append((item, title, description, brand, categories))
    return pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row")
