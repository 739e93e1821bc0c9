"""Verifiable rewards of an answered item (paper, section 3.3). Pure functions over index tokens."""

from collections.abc import Sequence

from gream.indexing.tokens import is_ordinal

NEARLY_EXACT = 0.95
"""Reward for all codes right and the collision ordinal wrong; below the 1 that only the exact item gets."""


def residual_reward(answer: Sequence[str], target: Sequence[str], beta: float = 0.5) -> float:
    """Residual-sensitive verifiable reward: `(l / H) ** beta` for a common prefix of `l` of the target's `H` codes.

    Only the exact item gets 1. All `H` codes right but another ordinal (or none) is capped at `NEARLY_EXACT`, as in the
    authors' code; no common prefix, and so also an empty or malformed answer, gets 0.

    Args:
        answer: index tokens of the answered item.
        target: index tokens of the true item: `H` codes, and an ordinal where items share their codes.
        beta: below 1 rewards the first levels more than their share, above 1 less.

    Raises:
        ValueError: the target holds no code, or beta is not positive.

    >>> target = ["<|a_1|>", "<|b_2|>", "<|c_3|>", "<|d_4|>"]
    >>> residual_reward(["<|a_1|>", "<|b_9|>", "<|c_3|>", "<|d_4|>"], target)
    0.5
    >>> residual_reward(target, target)
    1.0
    """
    levels = sum(not is_ordinal(token) for token in target)
    if not levels:
        raise ValueError(f"the target {list(target)} has no code tokens.")
    if beta <= 0:
        raise ValueError(f"beta must be positive, not {beta}.")
    if tuple(answer) == tuple(target):
        return 1.0
    matched = 0
    for given, true in zip(answer, target, strict=False):
        if given != true or is_ordinal(true):
            break
        matched += 1
    return min(float((matched / levels) ** beta), NEARLY_EXACT)


def exact_reward(answer: Sequence[str], target: Sequence[str]) -> float:
    """The 0/1 reward of plain GRPO, for comparison.

    >>> exact_reward(["<|a_1|>"], ["<|a_1|>"]), exact_reward(["<|a_1|>"], ["<|a_2|>"])
    (1.0, 0.0)
    """
    return float(tuple(answer) == tuple(target))
