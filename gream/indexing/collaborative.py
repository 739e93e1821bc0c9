"""Who follows whom, as vectors beside the text. An addition to the paper, off at weight 0.

Counting item transitions beats several published generative recommenders, so what counting knows belongs in the index:
items that are bought after one another should share code prefixes. From TRAINING sequences only:

1. co-occurrence within five steps, both directions, weighted by 1/distance;
2. positive pointwise mutual information, with the context distribution raised to 0.75: plain PMI would rank pairs of
   rare items, seen together once by chance, above everything else;
3. truncated SVD, rows to unit length.

An item without interactions gets the vector that ridge regression predicts from its text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.linear_model import RidgeCV
from sklearn.utils.extmath import randomized_svd

from gream.errors import DataError
from gream.indexing.item_space import ItemSpace, unit_rows

WINDOW = 5
COLLABORATIVE_DIMENSIONS = 64
TEXT_DIMENSIONS = 128
"""Principal axes kept of the text: about 85% of MiniLM's variance on product titles; the rest costs codes."""
CONTEXT_SMOOTHING = 0.75
RIDGE_STRENGTHS = np.logspace(-1, 4, 6)


def cooccurrence(sequences: Iterable[Sequence[str]], item_ids: Sequence[str]) -> sparse.csr_matrix:
    """Symmetric `(n, n)` co-occurrence weights of items: 1/distance for each pair within `WINDOW` steps of a sequence.

    An item's co-occurrence with itself (a repeated purchase) says nothing about neighbours and is left out.

    Raises:
        DataError: a sequence holds an item that is not in `item_ids`.
    """
    number = {item: position for position, item in enumerate(item_ids)}
    try:
        encoded = [np.array([number[item] for item in sequence], dtype=np.int64) for sequence in sequences]
    except KeyError as error:
        raise DataError(f"a training sequence holds item {error.args[0]!r}, which is not in the catalogue.") from error
    items = np.concatenate([*encoded, np.empty(0, dtype=np.int64)])
    owner = np.repeat(np.arange(len(encoded)), [len(sequence) for sequence in encoded])
    total = sparse.csr_matrix((len(item_ids), len(item_ids)), dtype=np.float64)
    for distance in range(1, WINDOW + 1):
        together = owner[:-distance] == owner[distance:]
        left, right = items[:-distance][together], items[distance:][together]
        different = left != right
        weights = np.full(int(different.sum()), 1.0 / distance)
        total += sparse.coo_matrix((weights, (left[different], right[different])), shape=total.shape).tocsr()
    return (total + total.T).tocsr()


def collaborative_vectors(
    sequences: Iterable[Sequence[str]], item_ids: Sequence[str], seed: int, dimensions: int = COLLABORATIVE_DIMENSIONS
) -> np.ndarray:
    """Vectors `(n, d)` float32 of unit length, d <= `dimensions`; zero rows for items that co-occur with nothing.

    Raises:
        DataError: no two items of `sequences` stand together, or an item is unknown.
    """
    counts = cooccurrence(sequences, item_ids)
    if counts.nnz == 0:
        raise DataError(
            "no two items stand together in any training sequence, so there are no collaborative vectors; "
            "set index.collaborative_weight = 0."
        )
    frequency = np.asarray(counts.sum(axis=1)).ravel()
    context = frequency**CONTEXT_SMOOTHING
    pairs = counts.tocoo()
    pmi = np.log(pairs.data * context.sum() / (frequency[pairs.row] * context[pairs.col]))
    positive = sparse.csr_matrix((np.maximum(pmi, 0.0), (pairs.row, pairs.col)), shape=counts.shape)
    rank = min(dimensions, len(item_ids) - 1)
    left, strength, _ = randomized_svd(positive, n_components=rank, random_state=seed)
    rows = left * np.sqrt(strength)
    rows[np.asarray(positive.sum(axis=1)).ravel() == 0.0] = 0.0  # Where the decomposition leaves its rounding.
    return unit_rows(rows).astype(np.float32)


def combine(text: np.ndarray, collaborative: np.ndarray, weight: float) -> tuple[ItemSpace, np.ndarray]:
    """Put text `(n, t)` and collaborative vectors `(n, c)` side by side.

    Args:
        text: encoder vectors.
        collaborative: unit rows; zero rows are items without interactions and are predicted from the text.
        weight: root-mean-square length of the collaborative block; the text block has length 1.

    Returns:
        The space, and the items' vectors in it `(n, p + c)` float32.
    """
    mean = text.mean(axis=0, dtype=np.float64)
    centred = text - mean
    values, axes = np.linalg.eigh(centred.T @ centred / len(text))
    kept = np.argsort(values)[::-1][: min(TEXT_DIMENSIONS, max(len(text) - 1, 1))]
    length = np.sqrt(values[kept].sum())
    axes = axes[:, kept] / (length if length > 0 else 1.0)

    seen = np.any(collaborative != 0, axis=1)
    ridge = RidgeCV(alphas=RIDGE_STRENGTHS).fit((centred @ axes)[seen], collaborative[seen])
    space = ItemSpace(
        text_mean=mean,
        text_axes=axes,
        ridge=ridge.coef_.reshape(collaborative.shape[1], -1).T,
        ridge_offset=np.atleast_1d(ridge.intercept_),
        collaborative_mean=np.zeros(collaborative.shape[1]),
        collaborative_scale=np.ones(()),
    )
    block = space.text_block(text)
    complete = np.where(seen[:, None], collaborative, space.predict_collaborative(block))
    spread = complete - complete.mean(axis=0)
    length = np.sqrt(np.square(spread).sum(axis=1).mean())
    space = replace(
        space,
        collaborative_mean=complete.mean(axis=0),
        collaborative_scale=np.array(weight / (length if length > 0 else 1.0)),
    )
    return space, space.join(block, complete)
