"""Metrics of one user and one held-out item, and bootstrap intervals over users (paper, section 4).

Every metric counts items, not index tokens: a tokenizer that collapses onto few indices cannot score here.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from gream.errors import ConfigError

BLOCK_DRAWS = 4_000_000
"""Multinomial counts held at once while resampling: about 32 MB."""


class Interval(BaseModel):
    """A mean over users with the ends of its bootstrap interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    def words(self, sign: str = "") -> str:
        """The mean and the interval in brackets; `sign` "+" for a difference.

        >>> Interval(value=0.25, low=-0.1, high=0.5).words("+")
        '+0.2500 [-0.1000, +0.5000]'
        """
        return f"{self.value:{sign}.4f} [{self.low:{sign}.4f}, {self.high:{sign}.4f}]"


def recall_at_k(ranked: Sequence[str], target: str, k: int) -> float:
    """1 if the target is among the first `k` of the ranking, else 0.

    Args:
        ranked: item ids, best first.
        target: the held-out item's id.
        k: length of the list that is looked at; a shorter ranking is looked at whole.

    Raises:
        ConfigError: `k` is below 1.

    >>> recall_at_k(["a", "b", "c"], "b", 2), recall_at_k(["a", "b", "c"], "c", 2)
    (1.0, 0.0)
    """
    _check_k(k)
    return float(target in ranked[:k])


def ndcg_at_k(ranked: Sequence[str], target: str, k: int) -> float:
    """`1 / log2(rank + 1)` if the target is among the first `k` (ranks start at 1), else 0.

    With one relevant item the ideal ranking scores 1, so that nothing else has to be divided by.

    Raises:
        ConfigError: `k` is below 1.

    >>> ndcg_at_k(["a", "b", "c"], "a", 3), ndcg_at_k(["a", "b", "c"], "c", 3), ndcg_at_k(["a", "b", "c"], "c", 2)
    (1.0, 0.5, 0.0)
    """
    _check_k(k)
    shown = list(ranked[:k])
    return 1.0 / math.log2(shown.index(target) + 2) if target in shown else 0.0


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of the chance that at least one of `k` sampled answers is right: `1 - C(n-c, k) / C(n, k)`.

    Args:
        n: answers that were sampled.
        c: how many of them are the target.
        k: answers that the user would get.

    Raises:
        ConfigError: not `0 <= c <= n` and `1 <= k <= n`.

    >>> pass_at_k(n=4, c=1, k=2), pass_at_k(n=10, c=0, k=10), pass_at_k(n=10, c=7, k=4)
    (0.5, 0.0, 1.0)
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ConfigError(f"pass@k needs 0 <= c <= n and 1 <= k <= n; got n={n}, c={c}, k={k}.")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def bootstrap_interval(values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean of per-user values with a percentile bootstrap interval over users.

    A resample of n users with replacement is drawn as the multinomial counts of the distinct values: the same
    distribution as drawing users, without an array of n indices for each resample.

    Args:
        values: `(n,)` one number for each user.
        confidence: coverage, between 0 and 1.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Raises:
        ConfigError: no values, values that are not finite numbers, or a parameter out of range.

    >>> bootstrap_interval([1.0, 1.0, 1.0])
    Interval(value=1.0, low=1.0, high=1.0)
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise ConfigError(
            f"a bootstrap needs a non-empty list of finite numbers; got an array of shape {sample.shape}."
        )
    if not 0.0 < confidence < 1.0 or resamples < 1:
        raise ConfigError(f"a bootstrap needs 0 < confidence < 1 and resamples >= 1; got {confidence} and {resamples}.")
    distinct, counts = np.unique(sample, return_counts=True)
    random = np.random.default_rng(seed)
    block = max(1, BLOCK_DRAWS // distinct.size)
    means = np.concatenate(
        [
            random.multinomial(sample.size, counts / sample.size, size=min(block, resamples - start)) @ distinct
            for start in range(0, resamples, block)
        ]
    )
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means / sample.size, [tail, 1.0 - tail])
    return Interval(value=float(sample.mean()), low=float(low), high=float(high))


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Difference of two systems' means, `a - b`, with an interval over the users that both were measured on.

    Args:
        a: `(n,)` values of one system.
        b: `(n,)` values of the other, the same users in the same order.
        confidence: coverage, between 0 and 1.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Raises:
        ConfigError: the two do not have one value for each user, or a parameter is out of range.

    >>> paired_bootstrap([1, 0, 1], [0, 0, 0]).value == 2 / 3
    True
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ConfigError(
            f"a paired bootstrap needs the same users twice; got {first.shape} and {second.shape} values."
        )
    return bootstrap_interval(first - second, confidence, resamples, seed)


def _check_k(k: int) -> None:
    if k < 1:
        raise ConfigError(f"the length k of a ranking must be at least 1; got {k}.")
