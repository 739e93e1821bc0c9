"""Filters, worked out once for many searches, against the same items excluded in each."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gream.decoding.beam import beam_search
from gream.decoding.dead_nodes import DeadNodes
from gream.decoding.item_filter import ItemFilter
from gream.decoding.prior import ItemPrior
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


def dropped(trie, items):
    """The filter that leaves these items out."""
    left_out = np.zeros(trie.n_items, dtype=bool)
    left_out[list(items)] = True
    return ItemFilter.of(left_out, trie)


def test_what_a_filter_leaves_open_by_hand():
    # Breadth-first: root | 7 9 | 7-1 (item 2) 7-2 9-1 (item 0) | 7-2-5 (item 3) 7-2-6 (item 1).
    trie = TokenTrie.build([(9, 1), (7, 2, 6), (7, 1), (7, 2, 5)])
    assert trie.open_children(np.array([False] * 4)).tolist() == [2, 2, 1, 1, 2, 1, 1, 1]
    assert trie.open_children(np.array([False, True, False, False])).tolist() == [2, 2, 1, 1, 1, 1, 1, 0]
    assert trie.open_children(np.array([True, True, False, True])).tolist() == [1, 1, 0, 1, 0, 0, 0, 0]
    assert not trie.open_children(np.array([True] * 4)).any()


def test_a_node_may_be_dead_by_filter_and_history_together_alone():
    trie = TokenTrie.build([(9, 1), (7, 2, 6), (7, 1), (7, 2, 5)])
    passing = dropped(trie, [1])
    # 7-2-6 falls to the filter, 7-2-5 to the history, and 7-2 with them; 7 itself has 7-1 yet.
    assert trie.dead_keys([[3]], [passing.open_children]).tolist() == [4, 6]
    assert trie.dead_keys([[3, 2]], [passing.open_children]).tolist() == [1, 3, 4, 6]
    assert trie.dead_keys([[1]], [passing.open_children]).tolist() == []
    assert trie.dead_keys([[3], [3]], [None, passing.open_children]).tolist() == [6, 8 + 4, 8 + 6]


@st.composite
def shops(draw):
    """Items of two to four tokens, none the beginning of another, two filters, and rows that have one or none."""
    paths = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(lambda path: (*path, 4 + path[-1]))
    items = draw(st.lists(paths, min_size=1, max_size=30, unique=True))
    some = st.lists(st.integers(0, len(items) - 1), max_size=len(items) + 2)
    filters = [draw(some), draw(some)]
    return items, [(draw(some), draw(st.sampled_from([None, *filters]))) for _ in range(draw(st.integers(1, 4)))]


@given(shops())
def test_the_same_nodes_are_dead_as_if_each_row_excluded_what_its_filter_leaves_out(shop):
    items, rows = shop
    trie = TokenTrie.build(items)
    made = {tuple(left_out): dropped(trie, left_out) for _, left_out in rows if left_out is not None}
    filters = [made[tuple(left_out)] if left_out is not None else None for _, left_out in rows]
    nodes = torch.arange(trie.n_nodes).expand(len(rows), 1, -1)
    gains = torch.rand(nodes.shape)
    found = DeadNodes.of(trie, [own for own, _ in rows], filters, CPU).hold_back(gains, nodes)
    everything = [[*own, *(left_out or [])] for own, left_out in rows]
    expected = DeadNodes.of(trie, everything, [], CPU).hold_back(gains, nodes)
    # A search never stands at the root again: only a row with a filter that leaves nothing has it dead.
    assert found[..., 1:].tolist() == expected[..., 1:].tolist()


def test_an_item_is_left_where_more_pass_than_are_excluded_of_them(trie):
    passing = dropped(trie, range(2, 12))
    assert passing.leaves(np.array([0, 2, 3]))
    assert not passing.leaves(np.array([0, 1, 2]))
    assert not dropped(trie, range(12)).leaves(np.array([], dtype=np.int64))


def test_a_search_under_filters_is_the_search_without_their_items(model, trie, prompts):
    left_out, own = [range(2, 10), None, range(2, 10), range(12)], [[0], [5], [], [1]]
    shared = dropped(trie, range(2, 10))
    everything = [[*mine, *(those or [])] for mine, those in zip(own, left_out, strict=True)]
    counts = sparse.csr_matrix(np.arange(48.0).reshape(4, 12) % 5)
    filters = [shared, None, shared, dropped(trie, range(12))]
    for beams in (1, 3, 12):
        found = beam_search(
            model,
            prompts,
            trie,
            k=3,
            beams=beams,
            exclude=own,
            prior=ItemPrior.of(counts, 0.7, own, filters),
            filters=filters,
        )
        expected = beam_search(
            model, prompts, trie, k=3, beams=beams, exclude=everything, prior=ItemPrior.of(counts, 0.7, everything)
        )
        assert found.items.tolist() == expected.items.tolist()
        assert found.scores.tolist() == expected.scores.tolist()
        assert found.items[3].tolist() == [-1, -1, -1]


def test_items_that_a_filter_leaves_out_have_no_bonus(trie):
    counts = sparse.csr_matrix(np.ones((2, 12)))
    bonus = ItemPrior.of(counts, 1.0, [[0], [0]], [None, dropped(trie, range(4, 12))]).bonus
    assert bonus.toarray().astype(bool).tolist() == [[False] + [True] * 11, [False] + [True] * 3 + [False] * 8]
    assert bonus.nnz == 14


def test_filters_that_do_not_fit_the_prompts_are_refused(model, trie):
    with pytest.raises(RequestError, match="filters must have one entry for each of the 1 rows, not 2"):
        beam_search(model, [[1]], trie, k=1, filters=[None, None])
