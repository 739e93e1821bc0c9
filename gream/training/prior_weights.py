"""How much a policy's prior should count: as much as ranks the validation items best.

The weight (see `gream.decoding.prior`) is taken from a grid by NDCG@10 on validation users, separately for the two
modes: after a chain the policy knows something else than before one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gream.evaluation.metrics import ndcg_at_k
from gream.policy.transition_prior import PriorWeights, TransitionPrior

if TYPE_CHECKING:
    from gream.policy.policy import Policy
    from gream.policy.query import Mode

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
CUTOFF = 10
USERS: "dict[Mode, int]" = {"direct": 2_000, "reasoning": 200}
"""Validation users that are asked in each mode; a chain costs more than an answer."""


def fit_prior_weights(
    policy: "Policy",
    prior: TransitionPrior,
    histories: Sequence[Sequence[str]],
    targets: Sequence[str],
    exclude_seen: bool,
    seed: int,
) -> PriorWeights:
    """Weights for both modes; of equally good ones the smaller.

    Args:
        policy: its own prior, if it has one, is not used.
        prior: that is to have a say.
        histories: item ids of validation users, oldest first.
        targets: the item id that followed each.
        exclude_seen: whether items of the history are taken out of the ranking.
        seed: of the draw of users.
    """
    order = np.random.default_rng(seed).permutation(len(targets))

    def best(mode: "Mode") -> float:
        rows = np.sort(order[: USERS[mode]])
        asked, wanted = [histories[row] for row in rows], [targets[row] for row in rows]

        queries = policy.queries(asked, CUTOFF, asked if exclude_seen else None)
        # No chain asks the prior: one for each user does for all weights.
        prompts, _ = policy.answer_prompts(queries, mode, progress=f"prior's weight, {mode}")

        def ndcg(weight: float) -> float:
            both = policy.with_prior(prior, PriorWeights(direct=weight, reasoning=weight))
            found = both.rank(prompts, queries, None, f"prior's weight {weight}, {mode}", mode)
            lists = [policy.recommendations(*row) for row in found]
            return sum(
                ndcg_at_k([item.item_id for item in items], target, CUTOFF)
                for items, target in zip(lists, wanted, strict=True)
            )

        return max(WEIGHTS, key=ndcg)

    return PriorWeights(direct=best("direct"), reasoning=best("reasoning"))
