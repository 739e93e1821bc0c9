"""How much a policy's prior should count: as much as makes the validation items most probable.

The weight w of the mixture `(1 - w) P_policy + w P_prior` is found by expectation maximisation, separately for the two
modes: after a chain the policy knows something else than before one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gream.policy.transition_prior import PriorWeights, TransitionPrior

if TYPE_CHECKING:
    from gream.policy.policy import Policy
    from gream.policy.query import Mode

ITERATIONS = 200
USERS: "dict[Mode, int]" = {"direct": 4_000, "reasoning": 500}
"""Validation users that are asked in each mode; a chain costs more than an answer."""


def mixture_weight(policy: np.ndarray, prior: np.ndarray) -> float:
    """The weight of the prior under which what happened is most probable.

    Args:
        policy: (n,) probability that the policy gave to what happened.
        prior: (n,) the same of the prior.

    Returns:
        w, at least 0 and below 1; 0 where nothing is known.

    >>> round(mixture_weight(np.array([0.2, 0.2]), np.array([0.0, 0.4])), 3)
    0.5
    """
    if not len(policy):
        return 0.0
    weight = 0.5
    for _ in range(ITERATIONS):
        ours = weight * prior
        weight = float(np.mean(ours / (ours + (1 - weight) * policy)))
    return min(weight, 0.99)


def fit_prior_weights(
    policy: "Policy",
    prior: TransitionPrior,
    histories: Sequence[Sequence[str]],
    targets: Sequence[str],
    exclude_seen: bool,
    seed: int,
) -> PriorWeights:
    """Weights for both modes.

    Args:
        policy: without a prior.
        prior: to be mixed in.
        histories: item ids of validation users, oldest first.
        targets: the item id that followed each.
        exclude_seen: whether items of the history are excluded, so that the prior spends nothing on them.
        seed: of the draw of users.
    """
    order = np.random.default_rng(seed).permutation(len(targets))

    def weight(mode: "Mode") -> float:
        rows = np.sort(order[: USERS[mode]])
        asked, followed = [histories[row] for row in rows], [targets[row] for row in rows]
        log_probs = policy.log_probs(asked, followed, mode, progress=f"weight of the prior, {mode}")
        numbers = [policy.numbers(history) for history in asked]
        opinions = prior.after(numbers, 0.5, numbers if exclude_seen else None)
        given = np.asarray(opinions.distributions[np.arange(len(rows)), policy.numbers(followed)]).ravel()
        has_one = opinions.weights > 0
        return mixture_weight(np.exp(log_probs[has_one]), given[has_one])

    return PriorWeights(direct=weight("direct"), reasoning=weight("reasoning"))
