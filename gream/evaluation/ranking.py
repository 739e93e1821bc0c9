"""From scores of all items to ranked lists, and from ranked lists to one value for each user and metric."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from gream.errors import ConfigError
from gream.evaluation.metrics import pass_at_k

CUTOFFS = (5, 10)
"""The k of Recall@k and NDCG@k (paper, section 4)."""
NO_ITEM = -1
"""Stands in a ranked list where a system returned nothing, or something that is not in the catalogue."""
SCORES_AT_ONCE = 8_000_000
"""Bounds the score matrix of one batch: 32 MB of float32."""


class Scorer(Protocol):
    """What every baseline offers."""

    def score(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """A score of every item after each history: `(len(histories), n_items)`, higher is better."""
        ...


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Item numbers of the `k` highest scores in each row, best first; equal scores in the order of item numbers.

    Args:
        scores: `(b, n_items)`; `-inf` takes an item out of the ranking.
        k: length of each list.

    Returns:
        `(b, k)` int64, `NO_ITEM` where a row has fewer than `k` items left.
    """
    rows, n_items = scores.shape
    width = min(k, n_items)
    kth = np.partition(scores, n_items - width, axis=1)[:, n_items - width, None]
    above, level = scores > kth, scores == kth
    # Of the items level with the k-th, the lowest numbers fill what is left: partition alone picks arbitrary ones.
    free = width - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= free))
    items = np.nonzero(chosen)[1].reshape(rows, width)
    values = np.take_along_axis(scores, items, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = np.full((rows, k), NO_ITEM, dtype=np.int64)
    ranked[:, :width] = np.where(
        np.isneginf(np.take_along_axis(values, order, axis=1)), NO_ITEM, np.take_along_axis(items, order, axis=1)
    )
    return ranked


def rank_histories(
    scorer: Scorer, histories: Sequence[Sequence[int]], k: int, exclude_seen: bool, label: str = ""
) -> np.ndarray:
    """The `k` best items after each history, among all items of the catalogue.

    Args:
        scorer: a baseline.
        histories: item numbers in time order, one list for each user.
        k: length of each list.
        exclude_seen: take the items of the history out of its ranking.
        label: name for the progress bar; empty hides it.

    Returns:
        `(len(histories), k)` item numbers, see `top_k`.
    """
    ranked = np.full((len(histories), k), NO_ITEM, dtype=np.int64)
    batch, start = 1, 0
    with tqdm(total=len(histories), desc=label, unit="user", disable=not label) as progress:
        while start < len(histories):
            part = histories[start : start + batch]
            scores = scorer.score(part)
            if exclude_seen:
                for row, history in zip(scores, part, strict=True):
                    row[np.asarray(history, dtype=np.int64)] = -np.inf
            ranked[start : start + len(part)] = top_k(scores, k)
            progress.update(len(part))
            start += len(part)
            batch = max(1, min(1024, SCORES_AT_ONCE // scores.shape[1]))
    return ranked


def numbered(lists: Sequence[Sequence[str]], number: Mapping[str, int], k: int) -> np.ndarray:
    """Lists of item ids as a matrix of item numbers.

    Args:
        lists: item ids, best first, one list for each user; what is beyond `k` is cut.
        number: item number of each item id.
        k: width of the matrix.

    Returns:
        `(len(lists), k)` int64; `NO_ITEM` after the end of a short list and for ids that are not in the catalogue.
    """
    ranked = np.full((len(lists), k), NO_ITEM, dtype=np.int64)
    for row, items in zip(ranked, lists, strict=True):
        known = [number.get(item, NO_ITEM) for item in items[:k]]
        row[: len(known)] = known
    return ranked


def user_values(ranked: np.ndarray, targets: np.ndarray, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, np.ndarray]:
    """Recall and NDCG of each user.

    Args:
        ranked: `(n_users, k)` item numbers, best first.
        targets: `(n_users,)` the held-out item numbers.
        cutoffs: lengths of the list that are looked at, each at most `k`.

    Returns:
        `{"recall@5": (n_users,) float64, "ndcg@5": ..., ...}`.

    Raises:
        ConfigError: shapes that do not fit, or a cutoff longer than the lists.
    """
    if ranked.ndim != 2 or targets.shape != ranked.shape[:1]:
        raise ConfigError(
            f"one target for each ranked list is needed; got {ranked.shape} lists, {targets.shape} targets."
        )
    if max(cutoffs) > ranked.shape[1]:
        raise ConfigError(
            f"recall@{max(cutoffs)} needs lists of that length; got {ranked.shape[1]} items for each user."
        )
    hits = ranked == targets[:, None]
    gains = hits / np.log2(np.arange(2, ranked.shape[1] + 2))
    values = {f"recall@{k}": hits[:, :k].any(axis=1).astype(np.float64) for k in cutoffs}
    # A list holds an item once; `max` keeps the first place of one that a faulty system repeats.
    return values | {f"ndcg@{k}": gains[:, :k].max(axis=1) for k in cutoffs}


def pass_values(correct: np.ndarray, answers: int, cutoffs: Sequence[int]) -> dict[str, np.ndarray]:
    """Pass@K of each user in reasoning mode.

    Args:
        correct: `(n_users,)` how many of the sampled answers are the target.
        answers: how many were sampled for each user.
        cutoffs: the K of Pass@K, each at most `answers`.

    Returns:
        `{"pass@1": (n_users,) float64, ...}`.
    """
    return {f"pass@{k}": np.array([pass_at_k(answers, int(c), k) for c in correct]) for k in cutoffs}
