"""Who follows whom: item transitions counted in training sequences, and what they say after a history.

Counting is the strongest cheap recommender there is, ahead of several published generative ones. So it serves twice:
as a baseline, and as a prior of the policy's own search (`gream.decoding.prior`).

The constants were chosen once, on the validation items of MovieLens-100K and Amazon Beauty together, and are not tuned
to a dataset.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

WINDOW = 5
"""Two items of one sequence are counted together up to this distance."""
RECENCY = 0.4
"""Each step back in the history counts this much of the step after it."""
BACKWARD = 0.25
"""Weight of what came before an item, beside 1 for what came after it."""
REACH = 12
"""Most recent items of a history that are looked at; what lies further back has a weight below 0.00002."""

BLOCK: Final = 4_000_000
"""Counts that are sorted at a time when only the largest are to be kept: a tenth of a gigabyte."""

Sequences = Sequence[Sequence[int] | NDArray[np.integer]]
"""Item numbers of each user in time order."""


def transition_counts(
    train: Sequences, n_items: int, weights: Sequence[NDArray[np.floating]] | None = None
) -> sparse.csr_matrix:
    """What stands near an item in training sequences, near counting more.

    Args:
        train: item numbers of each user in time order.
        n_items: of the catalogue.
        weights: of each event of `train`; a pair counts as much as its later event. Without it, all count 1.

    Returns:
        `(n_items, n_items)`: row h, column i adds `weight / distance` for each place where i follows h within `WINDOW`
        steps, and `BACKWARD` times as much for each where it precedes it.
    """
    sequences = [np.asarray(sequence, dtype=np.int64) for sequence in train]
    of_events = [np.ones(len(sequence)) for sequence in sequences] if weights is None else weights
    pairs = [
        np.array([sequence[:-distance], sequence[distance:], weight[distance:] / distance])
        for sequence, weight in zip(sequences, of_events, strict=True)
        for distance in range(1, min(WINDOW, len(sequence) - 1) + 1)
    ]
    before, after, counted = np.concatenate([np.empty((3, 0)), *pairs], axis=1)
    places = (before.astype(np.int64), after.astype(np.int64))
    follows = sparse.coo_matrix((counted, places), shape=(n_items, n_items)).tocsr()
    return (follows + BACKWARD * follows.T).tocsr()


def transition_scores(histories: Sequences, counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Counts summed over a history, its latest items counting most.

    Args:
        histories: item numbers, oldest first.
        counts: from `transition_counts`.

    Returns:
        `(len(histories), n_items)`: `score(i) = sum over history items h of RECENCY^age(h) * count(h, i)`.
    """
    rows = [
        (row, item, RECENCY**age)
        for row, history in enumerate(histories)
        for age, item in enumerate(reversed(history[-REACH:]))
    ]
    users, items, weights = zip(*rows, strict=True) if rows else ((), (), ())
    recent = sparse.csr_matrix((weights, (users, items)), shape=(len(histories), counts.shape[0]))
    return (recent @ counts).tocsr()


def largest_counts(counts: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """Of each row the `most` largest counts, of equal ones those of the lower items; the matrix itself if all are.

    Only rows with more than these are sorted.
    """
    lengths = np.diff(counts.indptr).astype(np.int64)
    long = np.flatnonzero(lengths > most)
    if not len(long):
        return counts
    kept = np.ones(counts.nnz, dtype=bool)
    ends = np.cumsum(lengths[long])
    for rows in np.split(long, np.searchsorted(ends, np.arange(BLOCK, ends[-1], BLOCK))):
        sizes = lengths[rows]
        place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        entries = np.repeat(counts.indptr[rows], sizes) + place
        order = np.lexsort((counts.indices[entries], -counts.data[entries], np.repeat(rows, sizes)))
        # Rows stand as they stood, so that an entry's place in its row is now its rank there.
        kept[entries[order[place >= most]]] = False
    begins = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
    return sparse.csr_matrix((counts.data[kept], counts.indices[kept], begins), shape=counts.shape)
