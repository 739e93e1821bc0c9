"""A policy in both modes on the test users: ranked lists, sampled answers, and what its chains cite."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from gream.config import EvaluationConfig
from gream.corpora.checks import citations
from gream.evaluation.cases import SAMPLE_SEED, Cases
from gream.evaluation.ranking import CUTOFFS, numbered, pass_values, user_values
from gream.policy.recommendations import ReasonedAnswer, Recommendations

PASS_CUTOFFS = (1, 5, 10)
"""The K of Pass@K; those beyond the number of sampled chains are left out."""


LENGTH = max(CUTOFFS)


class Recommender(Protocol):
    """What is asked of a `gream.policy.policy.Policy`."""

    def recommend_batch(
        self,
        histories: Sequence[Sequence[str]],
        k: int = ...,
        mode: Literal["direct", "reasoning"] = ...,
        excludes: Sequence[Sequence[str]] | None = ...,
        beams: int | None = ...,
        progress: str = ...,
    ) -> list[Recommendations]:
        """See `Policy.recommend_batch`."""
        ...

    def reason_batch(
        self,
        histories: Sequence[Sequence[str]],
        chains: int,
        seed: int = ...,
        excludes: Sequence[Sequence[str]] | None = ...,
        answer: Literal["best", "sample"] = ...,
        beams: int | None = ...,
        progress: str = ...,
    ) -> list[list[ReasonedAnswer]]:
        """See `Policy.reason_batch`."""
        ...

    def render(self, chain: str) -> str:
        """See `Policy.render`."""
        ...


class AnswerShares(BaseModel):
    """What a policy's answers and chains are like, as shares of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    legal_items: float
    """Of all returned items, in both modes, those that are in the catalogue."""
    chains_off_history: float
    """Of the sampled chains, those that cite nothing, or an item that the history does not hold."""
    unaided_chains: float
    """How likely a sampled chain would have kept to its history without being made to, on average."""
    unfinished_chains: float
    """Of the sampled chains, those that ran into the length limit."""


@dataclass(frozen=True)
class PolicyOutcome:
    """Attributes:
    direct: Recall and NDCG of each user, `metric -> (n_users,)`.
    reasoning: Pass@K of each user over the sampled chains, and Recall and NDCG of the list that follows one chain; NaN
        for users whom `EvaluationConfig.reasoning_users` leaves out.
    answers: of both modes.
    """

    direct: dict[str, np.ndarray]
    reasoning: dict[str, np.ndarray]
    answers: AnswerShares


def evaluate_policy(
    policy: Recommender,
    tokens: dict[str, tuple[str, ...]],
    cases: Cases,
    exclude_seen: bool,
    config: EvaluationConfig,
    seed: int,
    label: str,
) -> PolicyOutcome:
    """Measure a policy in both modes (paper, section 4).

    Pass@K follows the paper: `config.chains` chains are sampled, and each one's answer is sampled too, among legal
    items.

    Args:
        policy: the policy.
        tokens: index tokens of each item of the catalogue; the order is that of item numbers.
        cases: the users to measure on.
        exclude_seen: whether items of the history are excluded, as for the baselines.
        config: beams and chains.
        seed: of the sampled chains and answers.
        label: name for the progress bars.
    """
    number = {item: place for place, item in enumerate(tokens)}
    direct = _ranked(policy, cases, "direct", exclude_seen, config, label)
    rows, reasoned = cases.sample(config.reasoning_users, SAMPLE_SEED)
    one_chain = _ranked(policy, reasoned, "reasoning", exclude_seen, config, label)
    seen, wanted = reasoned.seen(exclude_seen), list[str | None](reasoned.targets)
    if seen is not None:
        wanted = [None if target in items else target for target, items in zip(wanted, seen, strict=True)]
        # A sample must be left something: whoever has seen everything is asked without exclusions, and is never right.
        seen = [[] if tokens.keys() <= set(items) else items for items in seen]
    sampled = policy.reason_batch(
        reasoned.histories,
        config.chains,
        seed,
        seen,
        answer="sample",
        progress=f"{label}: {config.chains} chains",
    )
    correct = np.array([sum(a.item_id == target for a in row) for row, target in zip(sampled, wanted, strict=True)])
    cutoffs = [k for k in PASS_CUTOFFS if k <= config.chains]
    answers = [answer for row in sampled for answer in row]
    returned = [item.item_id for answer in [*direct, *one_chain] for item in answer]
    returned += [answer.item_id for answer in answers]
    off_history = [
        off_the_history(answer.chain, {tokens[item] for item in history})
        for row, history in zip(sampled, reasoned.histories, strict=True)
        for answer in row
    ]
    reasoning = pass_values(correct, config.chains, cutoffs) | answer_values(one_chain, reasoned, number)
    return PolicyOutcome(
        direct=answer_values(direct, cases, number),
        reasoning={metric: _spread(values, rows, len(cases.users)) for metric, values in reasoning.items()},
        answers=AnswerShares(
            legal_items=float(np.mean([item in number for item in returned])),
            chains_off_history=float(np.mean(off_history)),
            unaided_chains=float(np.mean([answer.unaided for answer in answers])),
            unfinished_chains=float(np.mean([not answer.finished for answer in answers])),
        ),
    )


def evaluate_direct(
    policy: Recommender,
    number: dict[str, int],
    cases: Cases,
    exclude_seen: bool,
    config: EvaluationConfig,
    label: str,
) -> dict[str, np.ndarray]:
    """Recall and NDCG of each user in direct mode alone; `number` is the item number of each item id."""
    return answer_values(_ranked(policy, cases, "direct", exclude_seen, config, label), cases, number)


def _ranked(
    policy: Recommender,
    cases: Cases,
    mode: Literal["direct", "reasoning"],
    exclude_seen: bool,
    config: EvaluationConfig,
    label: str,
) -> list[Recommendations]:
    return policy.recommend_batch(
        cases.histories, LENGTH, mode, cases.seen(exclude_seen), config.beams, progress=f"{label}: {mode}"
    )


def answer_values(answers: Sequence[Recommendations], cases: Cases, number: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Recall and NDCG of each user, from lists of `LENGTH` items; `number` is the item number of each item id."""
    lists = [[item.item_id for item in answer] for answer in answers]
    return user_values(numbered(lists, number, LENGTH), cases.numbers(number)[1])


def _spread(values: np.ndarray, rows: np.ndarray, users: int) -> np.ndarray:
    """`values` at their `rows` of an `(users,)` array, NaN elsewhere."""
    spread = np.full(users, np.nan)
    spread[rows] = values
    return spread


def off_the_history(chain: str, history: set[tuple[str, ...]]) -> bool:
    """Whether a chain cites no item at all, or one that is not in the history.

    Args:
        chain: text with index tokens.
        history: the index tokens of each item of the history.

    >>> off_the_history("liked <|a_1|><|b_2|>", {("<|a_1|>", "<|b_2|>")}), off_the_history("likes films", set())
    (False, True)
    """
    cited = citations(chain)
    return not cited or not history.issuperset(cited)
