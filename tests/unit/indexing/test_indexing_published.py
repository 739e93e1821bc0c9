import json

import pytest

from gream.errors import DataError
from gream.indexing.published import from_published

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
