"""One door for every kind of data: `import_catalog` recognises what it is given.

What is understood: `movielens-100k`; a catalog saved earlier; a folder with `NAME.inter.json` and `NAME.item.json`
(LC-Rec's layout); a folder with one `meta_NAME.json.gz` and its reviews (raw Amazon dumps); a folder with
`interactions` and `items`, each `.csv`, `.tsv` or `.parquet`.

Policy for bad input. An import that fails writes nothing, and says in one sentence which file and row, and what to do:

- a column, field, id or timestamp is missing (so is an id that is null or empty), a value is not a number where one is
  needed;
- a row of a text file has fewer fields than the header, or more; a quote in it is unmatched;
- timestamps of one column mix units, or numbers and dates; they are dates written as numbers, such as 20240531, which
  would pass for another clock, or parts of days, as Excel counts them; one is before 1970 or later than a day from now;
- an id holds half a character (a lone surrogate, which JSON can spell); in texts one becomes a replacement character;
- an id has more than 256 characters, which serving would not take;
- an event names an item that the items table does not hold (two tables, LC-Rec), or an item is twice in that table, or
  a key twice in an object of LC-Rec's;
- a gzip file is cut short or damaged, a file is empty, not of its format, or not UTF-8;
- nothing is left after the filters.

Left out and counted in the catalog's `skipped`, shown by `gream data`:

- `duplicate_event`: same user, item and second as an earlier row (a later return to the item is another event);
- `item_without_metadata`: events of items that a raw Amazon dump does not describe, as is usual there (counted among
  what the k-core had left);
- `duplicate_metadata`: a second record of an item in a raw Amazon dump, where the first one counts;
- `k_core`, `k_core_items`: events and items below the k-core. With k = 0 or 1 the filter is off, and items without
  any event stay: a new item may be recommended.

An item without a title is called `Item <id>` and counted in `untitled`.
"""

from pathlib import Path

from gream.data import movielens
from gream.data.amazon import import_amazon
from gream.data.assembly import assemble
from gream.data.catalog import Catalog, is_catalog
from gream.data.lcrec import import_lcrec
from gream.data.table_files import SUFFIXES
from gream.data.tables import ColumnMapping, import_tables
from gream.errors import DataError

UNDERSTOOD = (
    "'movielens-100k', a saved catalog, a folder with NAME.inter.json and NAME.item.json, a folder with one "
    "meta_NAME.json.gz and its reviews (.json.gz), or a folder with interactions and items "
    f"({', '.join(SUFFIXES)})"
)


def import_catalog(source: str | Path, *, k_core: int, mapping: ColumnMapping | None = None) -> Catalog:
    """Read any dataset that GREAM understands.

    Args:
        source: a dataset's name or a folder.
        k_core: every user and item keeps at least this many events; 0 or 1 switches the filter off.
        mapping: column names of two tables, where they differ from ours; only for tables.

    Raises:
        DataError: the source is not understood, or its content breaks the policy above.
        ArtifactError: a saved catalog is damaged.
    """
    folder = Path(source)
    tables = [_table(folder, name) for name in ("interactions", "items")]
    if mapping is not None and tables == [None, None]:
        raise DataError(f"a column mapping belongs to two tables, but {source} holds no interactions or items table.")
    if str(source) == movielens.NAME:
        return movielens.import_movielens_100k(k=k_core)
    if not folder.is_dir():
        raise DataError(f"{str(source)!r} is neither a known dataset nor a folder. Understood are {UNDERSTOOD}.")
    if is_catalog(folder):
        saved = Catalog.load(folder)
        return assemble(saved.interactions, saved.items, saved.facts, k=k_core)
    if any(folder.glob("*.inter.json")):
        return import_lcrec(folder, k=k_core)
    if any(folder.glob("meta_*.json.gz")):
        return import_amazon(*_amazon_files(folder), k=k_core)
    interactions, items = tables
    if interactions and items:
        return import_tables(interactions, items, k=k_core, mapping=mapping)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise DataError(f"{folder} is not understood: it holds {found}. Understood are {UNDERSTOOD}.")


def _table(folder: Path, name: str) -> Path | None:
    found = [folder / f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder} holds {' and '.join(path.name for path in found)}; keep one of them.")
    return found[0] if found else None


def _amazon_files(folder: Path) -> tuple[Path, Path]:
    """Reviews and metadata: one of each."""
    dumps = sorted(folder.glob("*.json.gz"))
    metadata = [path for path in dumps if path.name.startswith("meta_")]
    reviews = [path for path in dumps if path not in metadata]
    if len(metadata) != 1 or len(reviews) != 1:
        raise DataError(
            f"{folder} holds {len(metadata)} metadata and {len(reviews)} review dumps "
            f"({', '.join(path.name for path in dumps)}); keep one meta_*.json.gz and one file of reviews."
        )
    return reviews[0], metadata[0]
