import json

import polars as pl
import pytest

from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.errors import DataError
from gream.indexing.published import from_published, published_index
from gream.indexing.semantic_index import SemanticIndex
from gream.stages.chain import run_until
from gream.stages.store import open_run

pytestmark = pytest.mark.unit


def write(tmp_path, entries):
    path = tmp_path / "some.index.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


def test_numbers_are_kept_and_names_respelled(tmp_path):
    index = from_published(write(tmp_path, {"0": ["<a_0>", "<b_3>"], "1": ["<a_1>", "<b_1>"], "2": ["<a_0>", "<b_3>"]}))
    assert index.encode(["0", "1", "2"]) == [
        ("<|a_1|>", "<|b_4|>", "<|e_1|>"),
        ("<|a_2|>", "<|b_2|>"),
        ("<|a_1|>", "<|b_4|>", "<|e_2|>"),
    ]
    assert index.level_sizes == (2, 4)
    assert index.facts["published"] == "some.index.json"


def test_a_collision_suffix_becomes_the_ordinal(tmp_path):
    entries = {
        "x": ["<L0_5>", "<L1_2>", "<L2_1>"],
        "y": ["<L0_5>", "<L1_2>", "<L2_0>"],
        "z": ["<L0_0>", "<L1_2>", "<L2_0>"],
    }
    index = from_published(write(tmp_path, entries))
    assert index.level_sizes == (6, 3)
    assert index.encode(["x", "z"]) == [("<|a_6|>", "<|b_3|>", "<|e_1|>"), ("<|a_1|>", "<|b_3|>")]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("{", "cannot be read"),
        ([], "must be a JSON object"),
        ({"0": ["<a_1>", "<b_1>"], "1": ["<a_1>"]}, "item '1' has .* but 2 tokens"),
        ({"0": ["a_1"]}, "item '0' has"),
        ({"0": 7}, "item '0' has 7"),
        ({"0": [f"<a_{9 - i}>" for i in range(9)]}, "9 code levels; at most 8"),
    ],
)
def test_files_of_another_shape_are_named(tmp_path, entries, message):
    with pytest.raises(DataError, match=message):
        from_published(write(tmp_path, entries))


@pytest.fixture
def shop():
    items = [(item, item.upper(), "", "", []) for item in "xyz"]
    return Catalog(
        pl.DataFrame([("u", "x", 0)], schema=INTERACTION_SCHEMA, orient="row"),
        pl.DataFrame(items, schema=ITEM_SCHEMA, orient="row"),
        CatalogFacts(dataset="shop", exclude_seen=False, source="by hand"),
    )


ENTRIES = {"w": ["<a_0>"], "x": ["<a_1>"], "y": ["<a_1>"], "z": ["<a_2>"]}


def test_the_audit_is_of_the_catalogues_items(tmp_path, shop):
    index, audit = published_index(write(tmp_path, ENTRIES), shop, {})
    assert index.item_ids == ("w", "x", "y", "z")
    assert audit.items == 3
    assert (audit.collision_rate, audit.title_only_collision_rate) == (pytest.approx(2 / 3), None)


def test_an_index_that_lacks_an_item_is_refused(tmp_path, shop):
    entries = {item: tokens for item, tokens in ENTRIES.items() if item in "wz"}
    with pytest.raises(DataError, match=r"no tokens for item 'x' of the catalogue \(2 such items\)"):
        published_index(write(tmp_path, entries), shop, {})


def test_the_stage_takes_it_in_place_of_its_own_and_notices_another_content(tmp_path, shop):
    shop.save(tmp_path / "shop")
    path = write(tmp_path, ENTRIES)
    context = open_run("laptop", ["data.k_core=0", f"index.published={path}"], 0, str(tmp_path / "workspace"))
    codes = []
    for entries in (ENTRIES, ENTRIES | {"y": ["<a_0>"]}):
        write(tmp_path, entries)
        index = SemanticIndex.load(run_until("index", str(tmp_path / "shop"), "as-dataset", context))
        codes.append(index.codes[:, 0].tolist())
        assert index.facts["audit"]["items"] == 3
    assert codes == [[0, 1, 1, 2], [0, 1, 0, 2]]
