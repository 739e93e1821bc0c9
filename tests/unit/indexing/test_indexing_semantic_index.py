import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gream.artifacts import content_digest
from gream.errors import ArtifactError, DataError
from gream.indexing import SemanticIndex
from gream.indexing.item_space import ItemSpace

pytestmark = pytest.mark.unit

CODES = np.array([[0, 1], [2, 0], [0, 1], [1, 1], [0, 1]])
IDS = ["p", "q", "r", "s", "t"]
BOOKS = (np.array([[0.0], [10.0], [20.0]], dtype=np.float32), np.array([[-1.0], [0.0], [1.0]], dtype=np.float32))


def index(**more):
    return SemanticIndex.from_codes(IDS, CODES, (3, 3), **more)


def test_colliding_items_get_ordinals_in_item_order():
    assert index().encode(IDS) == [
        ("<|a_1|>", "<|b_2|>", "<|e_1|>"),
        ("<|a_3|>", "<|b_1|>"),
        ("<|a_1|>", "<|b_2|>", "<|e_2|>"),
        ("<|a_2|>", "<|b_2|>"),
        ("<|a_1|>", "<|b_2|>", "<|e_3|>"),
    ]


def test_a_flat_stream_and_nested_sequences_decode_alike():
    one = index()
    tokens = one.encode(["t", "q", "p", "q"])
    assert one.decode(tokens) == ["t", "q", "p", "q"]
    assert one.decode([token for item in tokens for token in item]) == ["t", "q", "p", "q"]
    assert one.decode([[tokens[0]], [[tokens[1], tokens[2]]], tokens[3]]) == ["t", "q", "p", "q"]
    assert one.decode(tokens[0]) == ["t"]
    assert one.decode([]) == []


@settings(max_examples=60)
@given(codes=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40), data=st.data())
def test_any_index_is_prefix_free_and_reads_back(codes, data):
    ids = [f"item {number}" for number in range(len(codes))]
    one = SemanticIndex.from_codes(ids, np.array(codes), (3, 3))
    tokens = one.item_tokens
    assert not any(a != b and b[: len(a)] == a for a in tokens for b in tokens)
    assert {token for item in tokens for token in item} <= set(one.vocabulary)
    chosen = data.draw(st.lists(st.sampled_from(ids)))
    assert one.decode([token for item in one.encode(chosen) for token in item]) == chosen


def test_the_vocabulary_holds_unused_codes_and_spare_ordinals():
    vocabulary = index().vocabulary
    assert vocabulary[:6] == ["<|a_1|>", "<|a_2|>", "<|a_3|>", "<|b_1|>", "<|b_2|>", "<|b_3|>"]
    assert vocabulary[6:] == [f"<|e_{ordinal}|>" for ordinal in range(1, 17)]
    crowded = SemanticIndex.from_codes([str(i) for i in range(20)], np.zeros((20, 1)), (2,))
    assert crowded.vocabulary[-1] == "<|e_40|>"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["<|a_3|>", "<|b_1|>", "hello"], "position 2 .*'hello'"),
        (["<|b_1|>"], "position 0 "),
        (["<|a_9|>"], "position 0 "),
        (["<|a_2|>", "<|b_1|>", "<|a_3|>"], "position 1 "),  # no item has these codes
        (["<|a_1|>", "<|b_2|>", "<|e_4|>"], "position 2 "),  # the group has three
        (["<|a_1|>", "<|b_2|>", "<|a_3|>"], "position 2 "),  # the ordinal is missing
        (["<|a_3|>", "<|b_1|>", "<|a_1|>", "<|b_2|>"], "position 3 .*end within an item"),
        ("<|a_3|>", "position 0 .*end within an item"),
    ],
)
def test_tokens_that_spell_no_item_are_named_with_their_position(tokens, message):
    with pytest.raises(DataError, match=message):
        index().decode(tokens)


def test_unknown_items_are_named():
    with pytest.raises(DataError, match="'nobody' is not among the 5"):
        index().encode(["p", "nobody"])


def test_malformed_indices_are_refused():
    with pytest.raises(DataError, match="'p' stands twice"):
        SemanticIndex.from_codes(["p", "p"], [[0, 0], [1, 1]], (3, 3))
    with pytest.raises(DataError, match="beyond its level sizes"):
        SemanticIndex.from_codes(["p"], [[0, 3]], (3, 3))
    with pytest.raises(DataError, match="needs codes of that shape"):
        SemanticIndex.from_codes(["p"], [[0, 1, 2]], (3, 3))


def test_saved_and_loaded_indices_are_the_same(tmp_path):
    space = ItemSpace(*(np.full(shape, 0.5) for shape in [(2,), (2, 2), (2, 1), (1,), (1,), ()]))
    one = index(encoder="minilm", codebooks=BOOKS, space=space, facts={"seed": 3})
    one.save(tmp_path / "index")
    two = SemanticIndex.load(tmp_path / "index")

    assert two.item_tokens == one.item_tokens
    assert two.item_ids == one.item_ids
    assert two.vocabulary == one.vocabulary
    assert (two.encoder, two.facts) == ("minilm", {"seed": 3})
    for loaded, saved in zip(two.codebooks, BOOKS, strict=True):
        np.testing.assert_array_equal(loaded, saved)
    np.testing.assert_array_equal(two.space.project(np.ones((1, 2))), space.project(np.ones((1, 2))))


def test_equal_indices_have_equal_files(tmp_path):
    for name in ("one", "two"):
        index(codebooks=BOOKS).save(tmp_path / name)
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")]
    assert manifests[0] == manifests[1]


def test_its_vocabulary_is_part_of_its_content(tmp_path):
    """Else a policy trained with fewer tokens would be taken for one of this index."""
    digests = set()
    for place, more in enumerate([{}, {"ordinal_capacity": 70}, {"encoder": "other"}]):
        replace(index(), **more).save(tmp_path / str(place))
        digests.add(content_digest(tmp_path / str(place)))
    assert len(digests) == 3


def test_damaged_and_absent_indices_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="there is no folder"):
        SemanticIndex.load(tmp_path / "nothing")
    index().save(tmp_path / "index")
    arrays = tmp_path / "index" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="damaged"):
        SemanticIndex.load(tmp_path / "index")


def test_new_items_get_open_paths_and_old_tokens_stay():
    one = index(codebooks=BOOKS)
    vectors = np.array(
        [
            [0.1],  # codes (0, 1): the group of p, r, t -> next ordinal
            [10.1],  # codes (1, 1): sealed by s -> next-nearest last code is 2
            [10.2],  # the same path -> together with the one before: ordinals 1, 2
            [20.9],  # codes (2, 2): free -> the first ordinal
        ],
        dtype=np.float32,
    )
    two = one.add_items(["new 1", "new 2", "new 3", "new 4"], vectors)

    assert two.encode(IDS) == one.encode(IDS)
    assert two.encode(["new 1", "new 2", "new 3", "new 4"]) == [
        ("<|a_1|>", "<|b_2|>", "<|e_4|>"),
        ("<|a_2|>", "<|b_3|>", "<|e_1|>"),
        ("<|a_2|>", "<|b_3|>", "<|e_2|>"),
        ("<|a_3|>", "<|b_3|>", "<|e_1|>"),
    ]
    assert two.vocabulary == one.vocabulary
    assert two.decode(two.encode(two.item_ids)) == list(two.item_ids)


def test_new_items_never_outgrow_the_vocabulary():
    one = index(codebooks=BOOKS)
    ids = [f"new {number}" for number in range(60)]
    # Everything at 0: group (0, 1) has room for 13 more ordinals, (0, 0) and (0, 2) for 16 each; then all is taken.
    two = one.add_items(ids[:45], np.zeros((45, 1), dtype=np.float32))
    assert two.vocabulary == one.vocabulary
    assert two.ordinals.max() == 16
    assert two.encode(IDS) == one.encode(IDS)
    assert two.decode(two.encode(two.item_ids)) == list(two.item_ids)
    with pytest.raises(DataError, match="all 3 last-level codes around it are taken"):
        two.add_items(["one more"], np.zeros((1, 1), dtype=np.float32))


@settings(max_examples=40)
@given(values=st.lists(st.floats(-2, 22, width=32), min_size=1, max_size=12), data=st.data())
def test_adding_at_once_or_one_by_one_is_the_same_and_prefix_free(values, data):
    ids = [f"new {number}" for number in range(len(values))]
    vectors = np.array(values, dtype=np.float32)[:, None]
    cut = data.draw(st.integers(0, len(values)))
    one = index(codebooks=BOOKS)

    at_once = one.add_items(ids, vectors)
    in_two = one
    for part in (slice(cut), slice(cut, None)):
        if ids[part]:
            in_two = in_two.add_items(ids[part], vectors[part])

    assert at_once.item_tokens == in_two.item_tokens
    assert at_once.encode(IDS) == one.item_tokens
    flat = [token for item in at_once.item_tokens for token in item]
    assert at_once.decode(flat) == list(at_once.item_ids)


def test_what_cannot_be_added_is_named():
    one = index(codebooks=BOOKS)
    with pytest.raises(DataError, match="'p' is already"):
        one.add_items(["p"], np.zeros((1, 1)))
    with pytest.raises(DataError, match="'x' is already in the semantic index, or comes twice"):
        one.add_items(["x", "x"], np.zeros((2, 1)))
    with pytest.raises(DataError, match="2 new items came with 1 vectors"):
        one.add_items(["x", "y"], np.zeros((1, 1)))
    with pytest.raises(DataError, match="without codebooks"):
        index().add_items(["x"], np.zeros((1, 1)))
