import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gream.data.transitions import largest_counts

pytestmark = pytest.mark.unit

COUNTS = [
    [1.0, 3.0, 2.0, 3.0, 0.5],
    [0.0, 5.0, 0.0, 0.0, 0.0],
    [2.0, 2.0, 2.0, 2.0, 2.0],
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.25, 0.5, 0.0, 0.25],
]


def test_of_each_row_the_largest_counts_stay_and_of_equal_ones_those_of_the_lower_items():
    kept = largest_counts(sparse.csr_matrix(COUNTS), 2)
    assert kept.toarray().tolist() == [
        [0.0, 3.0, 0.0, 3.0, 0.0],
        [0.0, 5.0, 0.0, 0.0, 0.0],
        [2.0, 2.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.25, 0.5, 0.0, 0.0],
    ]
    assert kept.nnz == 7


def test_where_no_row_is_longer_the_counts_are_the_ones_that_were_given():
    counts = sparse.csr_matrix(COUNTS)
    assert largest_counts(counts, 5) is counts


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=12),
    st.integers(1, 6),
    st.integers(1, 20),
)
def test_rows_are_cut_alike_in_blocks_of_any_size(rows, most, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gream.data.transitions.BLOCK", block)
        found = largest_counts(sparse.csr_matrix(rows), most).toarray()
    for row, kept in zip(rows, found, strict=True):
        best = sorted(np.flatnonzero(row).tolist(), key=lambda item: (-row[item], item))[:most]
        assert kept.tolist() == [count if item in best else 0 for item, count in enumerate(row)]
