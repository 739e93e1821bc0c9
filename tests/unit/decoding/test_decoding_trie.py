import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gream.decoding.trie import ROOT, TokenTrie
from gream.errors import ArtifactError, RequestError

pytestmark = pytest.mark.unit


def test_layout_of_a_small_trie():
    # Sorted: (7, 1), (7, 2, 5), (7, 2, 6), (9, 1). Breadth-first: root | 7 9 | 1 2 1 | 5 6.
    trie = TokenTrie.build([(9, 1), (7, 2, 6), (7, 1), (7, 2, 5)])
    assert trie.token.tolist() == [0, 7, 9, 1, 2, 1, 5, 6]
    assert trie.first_child.tolist() == [1, 3, 5, 6, 6, 8, 8, 8, 8]
    assert trie.item_of_node.tolist() == [-1, -1, -1, 2, -1, 0, 3, 1]
    assert trie.leaf_of_item.tolist() == [5, 7, 3, 6]
    assert trie.level_start == (0, 1, 3, 6, 8)
    assert trie.max_branching == (2, 2, 2)
    assert trie.parents(np.arange(1, 8)).tolist() == [0, 0, 1, 1, 2, 4, 4]
    assert (trie.depth, trie.n_items, trie.n_nodes) == (3, 4, 8)
    assert {array.dtype for array in (trie.token, trie.first_child, trie.item_of_node, trie.leaf_of_item)} == {
        np.dtype(np.int32)
    }


def test_children_are_found_by_token():
    trie = TokenTrie.build([(9, 1), (7, 2, 6), (7, 1), (7, 2, 5)])
    assert [trie.child(ROOT, token) for token in (6, 7, 8, 9, 10)] == [-1, 1, -1, 2, -1]
    assert trie.child(4, 6) == 7
    assert trie.child(7, 6) == -1  # a leaf


def test_a_catalogue_of_one_item():
    trie = TokenTrie.build([(5,)])
    assert trie.max_branching == (1,)
    assert trie.paths(np.array([0])).tolist() == [[ROOT, 1]]


@st.composite
def prefix_free(draw):
    """Random sequences of one to five tokens, of which none begins another."""
    sequences = draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple), min_size=1, max_size=40))
    kept: list[tuple[int, ...]] = []
    for sequence in sequences:
        if not any(a[: len(b)] == b for other in kept for a, b in ((sequence, other), (other, sequence))):
            kept.append(sequence)
    return kept


@given(prefix_free())
def test_every_item_is_found_and_nothing_else(sequences):
    trie = TokenTrie.build(sequences)
    inner = {sequence[:length] for sequence in sequences for length in range(len(sequence))}
    assert trie.n_nodes == len(inner) + len(sequences)
    for item, sequence in enumerate(sequences):
        (path,) = trie.paths(np.array([item]))
        assert trie.token[path[1 : len(sequence) + 1]].tolist() == list(sequence)
        assert path[0] == ROOT
        assert (path[len(sequence) + 1 :] == -1).all()
        node = ROOT
        for token in sequence:
            node = trie.child(node, token)
        assert trie.item_of_node[node] == item


@given(prefix_free(), st.data())
def test_a_node_is_dead_when_all_its_items_are_excluded(sequences, data):
    trie = TokenTrie.build(sequences)
    excluded = [data.draw(st.lists(st.integers(0, len(sequences) - 1), max_size=len(sequences) + 3)) for _ in range(3)]
    below = {node: set() for node in range(1, trie.n_nodes)}
    for item, sequence in enumerate(sequences):
        node = ROOT
        for token in sequence:
            node = trie.child(node, token)
            below[node].add(item)
    expected = [row * trie.n_nodes + node for row in range(3) for node in below if below[node] <= set(excluded[row])]
    assert trie.dead_keys(excluded).tolist() == expected


def test_under_forty_bytes_an_item():
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 256, size=(20_000, 4)) + 256 * np.arange(4), axis=0)
    trie = TokenTrie.build([tuple(row) for row in codes.tolist()])
    assert trie.nbytes / trie.n_items < 40


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "at least one item"),
        ([(1, 2), ()], "item number 1 has no index tokens"),
        ([(1, 2), (3, 4), (1, 2)], "item number 0 are equal those of item number 2"),
        ([(1, 2, 3), (4,), (1, 2)], "item number 2 are the beginning of those of item number 0"),
        ([(1, 2), (1, -5)], "item number 1 has a negative token id"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(sequences, message):
    with pytest.raises(ArtifactError, match=message):
        TokenTrie.build(sequences)


def test_excluding_an_item_that_does_not_exist_is_refused():
    with pytest.raises(RequestError, match="item number 2 is outside the catalogue of 2 items"):
        TokenTrie.build([(1,), (2,)]).dead_keys([[0], [2]])


def test_to_exclude_a_few_items_takes_no_copy_of_the_catalogue():
    trie = TokenTrie.build([[number // 200, 200 + number % 200] for number in range(40_000)])
    items = np.array([7, 30_000])
    tracemalloc.start()
    try:
        trie.dead_keys([items])
        trie.paths(items)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < trie.first_child.nbytes / 4
