"""A champion's index for the catalogue of today: old items keep their tokens, new ones come from frozen codebooks."""

from collections.abc import Mapping

import numpy as np

from gream import columns
from gream.data.assembly import known_title
from gream.data.catalog import Catalog
from gream.indexing.audit import CollisionAudit, audit_catalogue
from gream.indexing.build import new_item_vectors
from gream.indexing.residual_kmeans import nearest_codes
from gream.indexing.semantic_index import SemanticIndex


def extend_index(
    base: SemanticIndex, catalog: Catalog, profile_texts: Mapping[str, str]
) -> tuple[SemanticIndex, CollisionAudit]:
    """Add the items that an index lacks, and audit what its codebooks make of the whole catalogue.

    The audit looks at the code that is nearest to each new item, before one that is taken made the item step aside, as
    it looks at codes before ordinals: both only keep names apart that the codebooks do not.

    Args:
        base: of the champion.
        catalog: only its items are used.
        profile_texts: profile of each item.

    Returns:
        The index, which keeps items that the catalogue lacks, and the audit of the catalogue's items.

    Raises:
        OutgrownError: around a new item all codes are taken.
        DataError: the index cannot take new items, or a new item has no profile.
        ConfigError: the index's encoder cannot be loaded.
    """
    known = set(base.item_ids)
    new = catalog.items.filter(~catalog.items[columns.ITEM].is_in(list(known)))
    index, nearest = base, base.codes
    if not new.is_empty():
        titles = {row[0]: known_title(*row) for row in new.select(columns.ITEM, columns.TITLE).iter_rows()}
        vectors = new_item_vectors(base, titles, profile_texts)
        index = base.add_items(list(titles), vectors)
        nearest = np.concatenate([base.codes, nearest_codes(vectors, base.codebooks)])
    return index, audit_catalogue(index.item_ids, nearest, index.level_sizes, catalog, profile_texts)


def can_grow(index: SemanticIndex) -> bool:
    """Whether an index can take new items; an imported one cannot."""
    return bool(index.codebooks and index.encoder)
