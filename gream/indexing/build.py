"""From a catalogue and its profiles to a SemanticIndex, and new items into an existing one (paper, section 3.1)."""

from collections.abc import Mapping

import numpy as np

from gream import columns
from gream.config import IndexConfig
from gream.data.assembly import known_title
from gream.data.catalog import Catalog
from gream.data.split import Split, leave_last_one_out
from gream.errors import DataError
from gream.indexing.audit import CollisionAudit, audit_collisions, minimal_metadata
from gream.indexing.collaborative import collaborative_vectors, combine
from gream.indexing.encoder import average_fields, encode_texts
from gream.indexing.residual_kmeans import BalancedResidualKMeans, shrink
from gream.indexing.semantic_index import SemanticIndex
from gream.indexing.vectors import ItemVectors
from gream.share import WHOLE, Share


def encode_items(
    catalog: Catalog, profile_texts: Mapping[str, str], config: IndexConfig, share: Share = WHOLE
) -> ItemVectors:
    """The encoder's vectors of every item's title and profile.

    Args:
        catalog: only its items are used.
        profile_texts: enriched profile of each item.
        config: encoder.
        share: of the work; see `gream.indexing.encoder.encode_texts`.

    Raises:
        DataError: an item has no profile.
        ConfigError: the encoder cannot be loaded.
    """
    missing = [item for item in catalog.item_ids if item not in profile_texts]
    if missing:
        raise DataError(f"item {missing[0]!r} has no profile ({len(missing)} such items); run enrichment again.")
    titles = [known_title(*row) for row in catalog.items.select(columns.ITEM, columns.TITLE).iter_rows()]
    return ItemVectors(
        _encode(titles, config, share), _encode([profile_texts[item] for item in catalog.item_ids], config, share)
    )


def build_index(
    catalog: Catalog,
    profile_texts: Mapping[str, str],
    config: IndexConfig,
    seed: int,
    vectors: ItemVectors | None = None,
    split: Split | None = None,
) -> tuple[SemanticIndex, CollisionAudit]:
    """Index every item of a catalogue by its title and profile, and audit the codes against titles alone.

    Args:
        catalog: interactions are used only where `config.collaborative_weight` > 0, and then only the training part.
        profile_texts: enriched profile of each item.
        config: encoder, levels, codebook size, weight.
        seed: of the SVD and the k-means; equal inputs and seed give equal tokens.
        vectors: from `encode_items`, where somebody has encoded these very texts already.
        split: which part that is; without one, that of leave-last-one-out.

    Raises:
        DataError: an item has no profile.
        ConfigError: the encoder cannot be loaded, or the codebooks do not fit the catalogue.
    """
    item_ids = catalog.item_ids
    if vectors is None:
        vectors = encode_items(catalog, profile_texts, config)
    titles = vectors.titles
    text = average_fields([titles, vectors.profiles])

    size = config.codebook_size
    if config.shrink_to_catalog:
        size = shrink(len(item_ids), config.levels, size)
    space, points = None, text
    if config.collaborative_weight > 0:
        train = (split or leave_last_one_out(catalog)).train
        collaborative = collaborative_vectors(train.values(), item_ids, seed)
        space, points = combine(text, collaborative, config.collaborative_weight)

    def quantise(points: np.ndarray) -> BalancedResidualKMeans:
        return BalancedResidualKMeans(config.levels, size, seed, config.iterations).fit(points)

    kmeans = quantise(points)
    index = SemanticIndex.from_codes(
        item_ids,
        kmeans.codes,
        kmeans.sizes,
        encoder=config.encoder,
        codebooks=kmeans.codebooks,
        space=space,
        facts={
            "seed": seed,
            "encoder_max_tokens": config.encoder_max_tokens,
            "encoder_batch": config.encoder_batch,
            "collaborative_weight": config.collaborative_weight,
            "residual_share": kmeans.residual_share,
            "items_without_text": int((~text.any(axis=1)).sum()),
        },
    )
    minimal = minimal_metadata(catalog.items, profile_texts)
    return index, audit_collisions(kmeans.codes, quantise(titles).codes, minimal, kmeans.sizes)


def index_new_items(index: SemanticIndex, titles: Mapping[str, str], profile_texts: Mapping[str, str]) -> SemanticIndex:
    """Add items by their texts alone: frozen encoder, space and codebooks, no retraining.

    Args:
        index: built by `build_index` (or loaded from its folder).
        titles: title of each new item, empty where it has none.
        profile_texts: profile of each new item.

    Raises:
        DataError: an item has no profile, is already indexed, or the index cannot take new items.
        ConfigError: the index's encoder cannot be loaded.
    """
    return index.add_items(list(titles), new_item_vectors(index, titles, profile_texts))


def new_item_vectors(index: SemanticIndex, titles: Mapping[str, str], profile_texts: Mapping[str, str]) -> np.ndarray:
    """Vectors `(m, d)` of new items in the space of an index's codebooks; arguments and errors of `index_new_items`."""
    missing = [item for item in titles if item not in profile_texts]
    if missing:
        raise DataError(f"new item {missing[0]!r} has no profile ({len(missing)} such items); run enrichment on it.")
    if not index.encoder:
        raise DataError("this semantic index was imported without an encoder, so new items cannot be added to it.")
    config = IndexConfig(
        encoder=index.encoder,
        encoder_batch=index.facts["encoder_batch"],
        encoder_max_tokens=index.facts["encoder_max_tokens"],
    )
    text = average_fields(
        [_encode(list(titles.values()), config), _encode([profile_texts[item] for item in titles], config)]
    )
    return text if index.space is None else index.space.project(text)


def _encode(texts: list[str], config: IndexConfig, share: Share = WHOLE) -> np.ndarray:
    return encode_texts(texts, config.encoder, config.encoder_batch, config.encoder_max_tokens, share)
