"""Baselines that take seconds: popularity, item-kNN, item transitions.

All of them count the training part only; what they know more at test time is the history they are asked about, which
then includes the validation item. Item-kNN's constant was chosen as those of the transitions were.

A popularity term a million times smaller than any single count orders the items that a history does not reach.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from gream.data.transitions import Sequences, transition_counts, transition_scores

NEIGHBOURS = 100
"""Item-kNN: neighbours that an item keeps."""


class Popularity:
    """Every user gets the items with the most training events."""

    def __init__(self, train: Sequences, n_items: int) -> None:
        self.counts = _popularity(train, n_items)

    def score(self, histories: Sequences) -> np.ndarray:
        """Training events of each item, the same for every history: `(b, n_items)`."""
        return np.tile(self.counts, (len(histories), 1))


class ItemKnn:
    """Cosine between items' user vectors; the similarities to a history's items are summed."""

    def __init__(self, train: Sequences, n_items: int, neighbours: int = NEIGHBOURS) -> None:
        matrix = _user_items([set(sequence) for sequence in train], n_items)
        norms = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
        unit = (matrix @ sparse.diags(1.0 / np.maximum(norms, 1.0))).tocsc()
        similarity = (unit.T @ unit).tocsr()
        similarity.sort_indices()
        # An item is no neighbour of itself. (`setdiag` wants lists of Python's numbers, many times the matrix.)
        self.similarity = _keep_largest(similarity - sparse.diags(similarity.diagonal()), neighbours)
        self.tie_breaker = _tie_breaker(_popularity(train, n_items), self.similarity)

    def score(self, histories: Sequences) -> np.ndarray:
        """Summed cosines of each item to the distinct items of each history: `(b, n_items)`."""
        known = _user_items([set(history) for history in histories], self.similarity.shape[0])
        scores: np.ndarray = (known @ self.similarity).toarray() + self.tie_breaker
        return scores


class Transitions:
    """What follows whom, see `gream.data.transitions`."""

    def __init__(self, train: Sequences, n_items: int) -> None:
        self.counts = transition_counts(train, n_items)
        self.tie_breaker = _tie_breaker(_popularity(train, n_items), self.counts)

    def score(self, histories: Sequences) -> np.ndarray:
        """Weighted counts of each item beside each history: `(b, n_items)`."""
        scores: np.ndarray = transition_scores(histories, self.counts).toarray() + self.tie_breaker
        return scores


def _popularity(train: Sequences, n_items: int) -> np.ndarray:
    counts = np.zeros(n_items)
    for sequence in train:
        np.add.at(counts, np.asarray(sequence, dtype=np.int64), 1.0)
    return counts


def _user_items(sets: Sequence[set[int]], n_items: int) -> sparse.csr_matrix:
    """Which user knows which item: `(n_users, n_items)` of zeros and ones."""
    indices = [item for items in sets for item in sorted(items)]
    starts = np.cumsum([0, *map(len, sets)])
    return sparse.csr_matrix((np.ones(len(indices)), indices, starts), shape=(len(sets), n_items))


def _keep_largest(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The matrix with only the `k` largest entries of each row."""
    for row in range(matrix.shape[0]):
        values = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        if values.size > k:
            values[np.argsort(-values, kind="stable")[k:]] = 0.0
    matrix.eliminate_zeros()
    return matrix


def _tie_breaker(popularity: np.ndarray, counts: sparse.csr_matrix) -> np.ndarray:
    """Popularity, scaled to at most a millionth of the smallest count."""
    smallest = counts.data.min() if counts.nnz else 1.0
    scaled: np.ndarray = popularity / (popularity.max() + 1.0) * smallest * 1e-6
    return scaled
