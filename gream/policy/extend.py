"""New items for a policy that is already trained: same weights, frozen codebooks, a larger trie.

A new item's index comes from its words alone (`gream.indexing.build.index_new_items`), so the policy can rank it at
once, near what resembles it; nobody has to have bought it. Old items keep their index, and a new item takes its
probability from those beside it in the trie: little of it, so that among old items new ones hardly come up before a
retraining (docs/results.md has figures); `new_only` of the HTTP API asks for new ones alone. The metrics in the
bundle are still those of the old catalogue.
"""

from pathlib import Path

import polars as pl

from gream import columns
from gream.artifacts import verify_artifact
from gream.data.assembly import complete_items, known_title
from gream.data.table_files import read_table
from gream.data.tables import read_items
from gream.enrichment.item_text import item_text
from gream.enrichment.template import template_profile
from gream.errors import DataError
from gream.indexing.build import index_new_items
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX, ITEMS, KIND, replace_items


def extend_policy(source: Path, items: Path, target: Path) -> list[str]:
    """Write a policy with more items.

    Args:
        source: a policy bundle.
        items: a table (CSV, TSV, Parquet) with `item_id`, `title` and, where known, `description`, `brand` and
            `categories`. Where a column `profile` has a text, it is the item's profile; elsewhere the template makes
            one.
        target: the bundle to make; it may be `source` itself.

    Returns:
        The ids of the new items.

    Raises:
        ArtifactError: `source` is no sound policy bundle.
        DataError: the table cannot be read or is empty, an item is in the policy already, or the index cannot take it.
        ConfigError: the index's text encoder cannot be loaded.
    """
    verify_artifact(source, KIND)
    known = pl.read_parquet(source / ITEMS)
    new = complete_items(read_items(items))
    if new.is_empty():
        raise DataError(f"{items} has no rows. At least one item is needed.")
    already = new.join(known, on=columns.ITEM, how="semi")
    if not already.is_empty():
        raise DataError(f"{items}: item {already[columns.ITEM][0]!r} is in the policy already ({already.height} such).")
    ids = new[columns.ITEM].to_list()
    titles = {item: known_title(item, title) for item, title in zip(ids, new[columns.TITLE], strict=True)}
    index = index_new_items(SemanticIndex.load(source / INDEX), titles, _profiles(items, new))
    replace_items(source, target, index, pl.concat([known, new]))
    return ids


def _profiles(path: Path, new: pl.DataFrame) -> dict[str, str]:
    """The profile of each new item: the table's own words, else the template's."""
    table = read_table(path)
    given = table[columns.PROFILE].fill_null("").to_list() if columns.PROFILE in table.columns else [""] * new.height
    return {
        row[columns.ITEM]: own.strip() or template_profile(item_text(row))
        for row, own in zip(new.iter_rows(named=True), given, strict=True)
    }
