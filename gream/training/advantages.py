"""Group advantages of SRPO (paper, section 3.3): the group-normalised reward plus a bonus for exact answers.

For one group of G answers, c of them exact, the share of K-subsets that hold an exact answer is the pass@K estimate

    rho = 1 - C(G - c, K) / C(G, K),    sigma = sqrt(rho (1 - rho)).

An exact answer turns every subset it is in into a success; another answer's subsets succeed as often as their other
K - 1 members do. Standardised by rho and sigma, these conditional successes are the bonus:

    exact:  (1 - rho) / sigma        other:  (1 - rho - C(G - c - 1, K - 1) / C(G - 1, K - 1)) / sigma

It has mean 0 over a group. Where sigma = 0 (no exact answer, or more than G - K of them) there is nothing to
standardise and the bonus is 0; with K = G that is always so.
"""

from collections.abc import Sequence
from math import comb, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-6
"""Added to the standard deviation of a group's rewards."""

Floats = NDArray[np.float64]


def success_rate(group: int, exact: int, k: int) -> float:
    """`rho`: the probability that k of the group's answers, drawn without replacement, hold an exact one.

    >>> round(success_rate(10, 1, 4), 12), success_rate(10, 0, 4), success_rate(10, 7, 4)
    (0.4, 0.0, 1.0)
    """
    return 1.0 - comb(group - exact, k) / comb(group, k)


def pass_at_k_bonus(hits: ArrayLike, k: int) -> Floats:
    """The bonus of each answer of one group.

    Args:
        hits: (G,) true or 1 where the answer is exactly the target.
        k: K of pass@K; at most G.

    Returns:
        (G,) float64.

    Raises:
        ValueError: the group is not a vector, holds something besides 0 and 1, or K is outside 1..G.

    >>> pass_at_k_bonus([1, 0, 0, 0], 2).round(4).tolist()
    [1.0, -0.3333, -0.3333, -0.3333]
    """
    exact = np.asarray(hits)
    if exact.ndim != 1 or not np.isin(exact, (0, 1)).all():
        raise ValueError("hits must be a vector of zeros and ones, one entry for each answer of the group.")
    group, right = len(exact), int(exact.sum())
    if not 1 <= k <= group:
        raise ValueError(f"K must be between 1 and the group size {group}, not {k}.")
    rho = success_rate(group, right, k)
    if rho <= 0.0 or rho >= 1.0:
        return np.zeros(group)
    sigma = sqrt(rho * (1.0 - rho))
    without = comb(group - right - 1, k - 1) / comb(group - 1, k - 1)
    return np.where(exact == 1, (1.0 - rho) / sigma, (1.0 - rho - without) / sigma)


def group_advantage(rewards: Sequence[float] | NDArray[np.floating], hits: ArrayLike, k: int) -> Floats:
    """Advantage of each answer of one group: group-normalised reward plus `pass_at_k_bonus`.

    The standard deviation is the sample one (divisor G - 1), as in the authors' framework and in TRL.

    Args:
        rewards: (G,) rewards.
        hits: (G,) true or 1 where the answer is exactly the target.
        k: K of the bonus.

    Returns:
        (G,) float64.

    Raises:
        ValueError: rewards and hits differ in length, or see `pass_at_k_bonus`.
    """
    return normalised_rewards(rewards, hits) + pass_at_k_bonus(hits, k)


def normalised_rewards(rewards: Sequence[float] | NDArray[np.floating], hits: ArrayLike) -> Floats:
    """`(r - mean) / (std + epsilon)` over one group: the advantage of plain GRPO. All zero where the rewards are equal.

    >>> normalised_rewards([1.0, 0.0, 0.0, 0.0], [1, 0, 0, 0]).round(3).tolist()
    [1.5, -0.5, -0.5, -0.5]
    """
    values = np.asarray(rewards, dtype=np.float64)
    if values.shape != np.asarray(hits).shape or values.ndim != 1 or len(values) < 2:
        raise ValueError("rewards and hits must be vectors of one length, with at least two answers in the group.")
    if is_constant(values):
        return np.zeros(len(values))
    return (values - values.mean()) / (values.std(ddof=1) + EPSILON)


def is_constant(rewards: Sequence[float] | NDArray[np.floating]) -> bool:
    """Whether a group's rewards are all equal, so that it carries no signal (dynamic sampling replaces it)."""
    values = np.asarray(rewards)
    return bool((values == values[0]).all())
