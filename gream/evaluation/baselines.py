"""Baselines that take seconds: popularity, item-kNN, item transitions.

All of them count the training part only; what they know more at test time is the history they are asked about, which
then includes the validation item. Item-kNN's constant was chosen as those of the transitions were.

A popularity term a million times smaller than any single count orders the items that a history does not reach.
"""

from collections.abc import Sequence
from itertools import islice, pairwise

import numpy as np
from scipy import sparse

from gream.data.transitions import Sequences, transition_counts, transition_scores

NEIGHBOURS = 100
"""Item-kNN: neighbours that an item keeps."""
LATEST = 1_000
"""Item-kNN: distinct items of a user that are counted, the most recent ones, since each of them meets each. Histories
of MovieLens-100K end at 646 and of Amazon Beauty at 202; an account that many share, or a robot's, has no end."""
ENTRIES = 2**25
"""Item-kNN: similarities that are held at once before they are trimmed; 400 MiB."""


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
        matrix = _user_items([set(islice(dict.fromkeys(reversed(sequence)), LATEST)) for sequence in train], n_items)
        norms = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
        unit = (matrix @ sparse.diags(1.0 / np.maximum(norms, 1.0))).tocsr()
        by_item = unit.T.tocsr()
        bounds = _blocks(matrix)
        self.similarity = sparse.vstack(
            [_nearest(by_item, unit, start, stop, neighbours) for start, stop in pairwise(bounds)], format="csr"
        )
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


def _blocks(matrix: sparse.csr_matrix) -> list[int]:
    """Where runs of items begin and end that have at most `ENTRIES` similarities, and those of one item more."""
    similar = np.minimum(matrix.T @ np.diff(matrix.indptr), matrix.shape[1])
    return [0, *(np.flatnonzero(np.diff(np.cumsum(similar) // ENTRIES)) + 1).tolist(), matrix.shape[1]]


def _nearest(
    by_item: sparse.csr_matrix, unit: sparse.csr_matrix, start: int, stop: int, neighbours: int
) -> sparse.csr_matrix:
    """Rows `start` to `stop` of the similarities, each with its nearest neighbours."""
    rows = by_item[start:stop] @ unit
    rows.sort_indices()
    rows.data[rows.indices == np.repeat(np.arange(start, stop), np.diff(rows.indptr))] = 0.0  # No neighbour of itself.
    return _keep_largest(rows, neighbours)


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
