import json

import numpy as np
import polars as pl
import pytest

from gream import columns
from gream.data.catalog import ITEM_SCHEMA
from gream.errors import DataError
from gream.indexing.audit import audit_collisions, collision_rate, level_usage, minimal_metadata

pytestmark = pytest.mark.unit


def test_collision_rate_counts_every_item_of_a_shared_path():
    assert collision_rate(np.array([[0, 1], [0, 1], [0, 1], [2, 1], [0, 2]])) == pytest.approx(3 / 5)
    assert collision_rate(np.array([[0], [1], [2]])) == 0.0
    assert collision_rate(np.array([[4], [4]])) == 1.0
    with pytest.raises(DataError, match="non-empty matrix"):
        collision_rate(np.empty((0, 4)))


def test_minimal_items_have_neither_texts_nor_a_long_profile():
    items = pl.DataFrame(
        {
            columns.ITEM: ["bare", "described", "categorised", "short profile", "no profile"],
            columns.TITLE: ["t"] * 5,
            columns.DESCRIPTION: [" ", "some words", "", "some words", "some words"],
            columns.BRAND: [""] * 5,
            columns.CATEGORIES: [[], [], ["Makeup"], ["Makeup"], ["Makeup"]],
        },
        schema=ITEM_SCHEMA,
    )
    profiles = {"bare": "x" * 60, "described": "x" * 60, "categorised": "x" * 60, "short profile": "x" * 59}
    assert minimal_metadata(items, profiles).tolist() == [True, False, False, True, True]


def test_audit_by_hand():
    codes = np.array([[0, 0], [0, 0], [1, 0], [1, 1]])
    titles = np.array([[0, 0], [0, 0], [0, 0], [1, 1]])
    audit = audit_collisions(codes, titles, np.array([True, False, True, False]), (2, 4))
    assert audit.to_dict() == {
        "items": 4,
        "collision_rate": 0.5,
        "distinct_share": 0.75,
        "title_only_collision_rate": 0.75,
        "minimal_items": 2,
        "minimal_collision_rate": 0.5,
        "minimal_title_only_collision_rate": 1.0,
        "levels": ({"size": 2, "used": 2, "perplexity": 2.0}, {"size": 4, "used": 2, "perplexity": 1.755}),
    }
    assert json.loads(json.dumps(audit.to_dict()))["levels"][1]["used"] == 2
    assert audit_collisions(codes, titles, np.zeros(4, dtype=bool), (2, 4)).minimal_collision_rate is None


def test_perplexity_of_an_even_level_is_its_size():
    assert level_usage(np.arange(8)[:, None], (8,))[0].perplexity == 8.0
