"""A champion's index for today's catalogue: old tokens stay, collisions are counted before anybody steps aside."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from gream.indexing import SemanticIndex, extend
from gream.indexing.extend import can_grow, extend_index
from gream.indexing.same_language import speaks_like
from gream.indexing.semantic_index import OutgrownError

pytestmark = pytest.mark.unit

BOOKS = (np.array([[0.0], [10.0]], np.float32), np.array([[0.0], [1.0], [2.0]], np.float32))
"""An item is a number; its tens are the first code, its ones the second."""
FACTS = {"encoder_batch": 1, "encoder_max_tokens": 8}
BASE = SemanticIndex.from_codes(["i0", "i1", "i10"], [[0, 0], [0, 1], [1, 0]], [2, 3], "toy", BOOKS, facts=FACTS)


@pytest.fixture(autouse=True)
def numbers_as_vectors(monkeypatch):
    """The vector of an item is the number in its title."""

    def vectors(index, titles, texts):
        return np.array([[float(title)] for title in titles.values()], np.float32)

    monkeypatch.setattr(extend, "new_item_vectors", vectors)


def shop(*ids):
    items = pl.DataFrame([(i, i[1:], "", "", []) for i in ids], schema=ITEM_SCHEMA, orient="row")
    events = pl.DataFrame({"user_id": ["u"], "item_id": [ids[0]], "timestamp": [1]})
    return Catalog(events, items, CatalogFacts(dataset="numbers", source="made up", exclude_seen=True))


def grown(*ids, base=BASE):
    return extend_index(base, shop(*ids), dict.fromkeys(ids, "a text"))


def test_old_items_keep_their_tokens_and_new_ones_come_from_the_codebooks():
    index, audit = grown("i0", "i1", "i10", "i12", "i2")
    assert index.item_ids == ("i0", "i1", "i10", "i12", "i2")
    assert index.item_tokens[:3] == BASE.item_tokens
    assert index.codes[3:].tolist() == [[1, 2], [0, 2]]
    assert (audit.items, audit.collision_rate) == (5, 0.0)


def test_what_an_untitled_item_is_called_is_no_title(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        extend, "new_item_vectors", lambda index, titles, texts: asked.update(titles) or np.ones((1, 1))
    )
    items = pl.DataFrame([("i7", "Item i7", "", "", [])], schema=ITEM_SCHEMA, orient="row")
    extend_index(BASE, replace(shop("i7"), items=items), {"i7": "a text"})
    assert asked == {"i7": ""}


def test_who_steps_aside_counts_as_colliding_with_whom_it_stepped_aside_for():
    index, audit = grown("i0", "i1", "i10", "i0.1")
    assert index.codes[3].tolist() == [0, 2]
    assert audit.collision_rate == 2 / 4
    assert audit.title_only_collision_rate is None  # Nobody has built an index from the titles.


def test_items_that_are_gone_keep_their_place_and_are_not_audited():
    index, audit = grown("i10", "i12")
    assert index.item_ids == ("i0", "i1", "i10", "i12")
    assert audit.items == 2


def test_without_new_items_the_index_is_the_same():
    index, audit = grown("i0", "i1", "i10")
    assert index is BASE
    assert audit.levels[0].used == 2


def test_codebooks_without_room_say_so():
    full = SemanticIndex.from_codes(["i0", "i1", "i2"], [[0, 0], [0, 1], [0, 2]], [2, 3], "toy", BOOKS, facts=FACTS)
    with pytest.raises(OutgrownError, match=r"new item 'i0.2': all 3 last-level codes around it are taken"):
        grown("i0", "i0.2", base=full)


def test_an_imported_index_cannot_grow():
    assert can_grow(BASE)
    assert not can_grow(SemanticIndex.from_codes(["i0"], [[0, 0]], [2, 3]))


def test_one_language_is_the_same_codebooks_and_tokens():
    assert speaks_like(grown("i0", "i12")[0], BASE)
    moved = replace(BASE, codebooks=(BOOKS[0], BOOKS[1] + 1))
    swapped = SemanticIndex.from_codes(["i1", "i0", "i10"], BASE.codes, [2, 3], "toy", BOOKS)
    larger = SemanticIndex.from_codes(["i0", "i1", "i10"], BASE.codes, [2, 4], "toy", BOOKS)
    imported = replace(BASE, codebooks=())
    assert [speaks_like(other, BASE) for other in (moved, swapped, larger, imported)] == [False] * 4
