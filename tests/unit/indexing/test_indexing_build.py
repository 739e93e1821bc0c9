from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gream import columns
from gream.config import IndexConfig
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.errors import DataError
from gream.indexing import SemanticIndex
from gream.indexing.build import build_index, encode_items, index_new_items
from gream.indexing.published import from_published

pytestmark = pytest.mark.unit

THINGS = {"nail polish": "Beauty", "chess set": "Games", "espresso machine": "Kitchen", "garden hose": "Garden"}
COLOURS = ["red", "green", "blue", "white", "black", "yellow"]
ITEMS = {
    f"{colour}-{thing}": (f"{colour} {thing}", category) for thing, category in THINGS.items() for colour in COLOURS
}
PROFILES = {item: f"A {title} of good quality, for those who like {kind}." for item, (title, kind) in ITEMS.items()}
CONFIG = IndexConfig(levels=2, codebook_size=4, shrink_to_catalog=False, collaborative_weight=1.0)


@pytest.fixture(scope="module")
def catalog():
    """24 items of four kinds; users buy within a colour, so that co-occurrence cuts across the texts."""
    items = pl.DataFrame(
        {
            columns.ITEM: list(ITEMS),
            columns.TITLE: [title for title, _ in ITEMS.values()],
            columns.DESCRIPTION: [""] * len(ITEMS),
            columns.BRAND: [""] * len(ITEMS),
            columns.CATEGORIES: [[kind] for _, kind in ITEMS.values()],
        },
        schema=ITEM_SCHEMA,
    )
    # The last two events are validation and test: chosen across colours, to show up if they leaked into the index.
    events = [
        (f"{colour} {turn}", item, time)
        for number, colour in enumerate(COLOURS)
        for turn in range(3)
        for time, item in enumerate(
            [f"{colour}-{thing}" for thing in THINGS] + [f"{COLOURS[number - turn]}-chess set", "red-garden hose"]
        )
    ]
    interactions = pl.DataFrame(events, schema=INTERACTION_SCHEMA, orient="row")
    return Catalog(interactions, items, CatalogFacts(dataset="things", source="made up", exclude_seen=True))


@pytest.fixture(scope="module")
def built(catalog):
    return build_index(catalog, PROFILES, CONFIG, seed=1)


def test_every_item_is_indexed_in_the_order_of_the_catalogue(catalog, built):
    index, audit = built
    assert list(index.item_ids) == catalog.item_ids
    assert index.decode(index.encode(catalog.item_ids)) == catalog.item_ids
    assert (index.levels, index.level_sizes, index.encoder) == (2, (4, 4), "minilm")
    assert audit.items == 24
    assert audit.minimal_items == 24 - sum(len(text) >= 60 for text in PROFILES.values())


def test_the_same_seed_gives_the_same_tokens(catalog, built):
    again, audit = build_index(catalog, PROFILES, CONFIG, seed=1)
    assert again.item_tokens == built[0].item_tokens
    assert audit == built[1]


def test_held_out_interactions_do_not_touch_the_index(catalog, built):
    held_out = pl.col(columns.TIMESTAMP) >= 4
    other = catalog.interactions.with_columns(
        pl.when(held_out).then(pl.lit("blue-nail polish")).otherwise(columns.ITEM).alias(columns.ITEM)
    )
    index, _ = build_index(Catalog(other, catalog.items, catalog.facts), PROFILES, CONFIG, seed=1)
    assert index.item_tokens == built[0].item_tokens

    trained = pl.col(columns.TIMESTAMP) == 1
    other = catalog.interactions.with_columns(
        pl.when(trained).then(pl.lit("blue-nail polish")).otherwise(columns.ITEM).alias(columns.ITEM)
    )
    index, _ = build_index(Catalog(other, catalog.items, catalog.facts), PROFILES, CONFIG, seed=1)
    assert index.item_tokens != built[0].item_tokens


def test_titles_alone_are_compared_with_whatever_else_the_index_sees(catalog, built):
    alike = replace(catalog, items=catalog.items.with_columns(pl.lit("A thing").alias(columns.TITLE)))
    _, audit = build_index(alike, PROFILES, CONFIG, seed=1)
    assert audit.title_only_collision_rate == 1.0  # Who was taken with whom would tell some apart.
    assert audit.collision_rate < 1.0
    _, by_text = build_index(catalog, PROFILES, CONFIG.model_copy(update={"collaborative_weight": 0.0}), seed=1)
    assert built[1].title_only_collision_rate == by_text.title_only_collision_rate


def test_text_alone_groups_like_texts(catalog):
    index, _ = build_index(catalog, PROFILES, CONFIG.model_copy(update={"collaborative_weight": 0.0}), seed=1)
    assert index.space is None
    kinds = np.repeat(np.arange(4), 6)
    same_code = index.codes[:, None, 0] == index.codes[None, :, 0]
    same_kind = kinds[:, None] == kinds[None, :]
    assert (same_code & same_kind).sum() / same_code.sum() > 0.6


def test_what_an_untitled_item_is_called_is_not_encoded(catalog):
    untitled = catalog.items.with_columns(
        pl.when(pl.col(columns.ITEM) == "red-chess set")
        .then(pl.lit("Item red-chess set"))
        .otherwise(columns.TITLE)
        .alias(columns.TITLE)
    )
    vectors = encode_items(replace(catalog, items=untitled), PROFILES, CONFIG)
    (without,) = np.flatnonzero(~vectors.titles.any(axis=1))
    assert catalog.item_ids[without] == "red-chess set"
    assert vectors.profiles.any(axis=1).all()


def test_new_items_are_indexed_from_the_saved_folder_alone(built, tmp_path):
    built[0].save(tmp_path / "index")
    loaded = SemanticIndex.load(tmp_path / "index")
    titles = {"purple-chess set": "purple chess set", "purple-garden hose": "purple garden hose"}
    profiles = {
        "purple-chess set": "A purple chess set of good quality, for those who like Games.",
        "purple-garden hose": "A purple garden hose of good quality, for those who like Garden.",
    }
    grown = index_new_items(loaded, titles, profiles)
    assert grown.encode(built[0].item_ids) == built[0].item_tokens
    assert grown.decode(grown.encode(titles)) == list(titles)
    assert grown.vocabulary == loaded.vocabulary


def test_missing_profiles_and_imported_indices_are_named(catalog, built, tmp_path):
    with pytest.raises(DataError, match=r"item 'red-nail polish' has no profile \(24 such items\)"):
        build_index(catalog, {}, CONFIG, seed=1)
    with pytest.raises(DataError, match="new item 'x' has no profile"):
        index_new_items(built[0], {"x": "a title"}, {})
    published = tmp_path / "index.json"
    published.write_text('{"0": ["<a_1>"]}')
    with pytest.raises(DataError, match="imported without an encoder"):
        index_new_items(from_published(published), {"x": "a title"}, {"x": "a profile"})
