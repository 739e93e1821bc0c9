"""Prompts for SRPO (paper, section 4): steps of the training sequences whose true next item is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gream.corpora.cuts import sample_steps

MINIMUM_HISTORY = 4
"""Events before the target, as in the paper."""


@dataclass(frozen=True, slots=True)
class RlPrompt:
    """One prompt.

    Attributes:
        user_id: whose step it is.
        history: all item ids before the target, oldest first. The policy cuts it to its own window.
        target: the item that followed.
    """

    user_id: str
    history: list[str]
    target: str


def rl_prompts(sequences: Mapping[str, Sequence[str]], count: int, rng: np.random.Generator) -> list[RlPrompt]:
    """Draw `count` prompts, or as many as there are, from as many users as possible.

    Args:
        sequences: user -> item ids of the training part, in time order: targets lie before the validation item.
        count: prompts wanted.
        rng: source of randomness.
    """
    return [
        RlPrompt(user, list(sequences[user][:position]), sequences[user][position])
        for user, position in sample_steps(sequences, count, MINIMUM_HISTORY, rng)
    ]
