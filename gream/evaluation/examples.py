"""A few users to look at: what they had, what the policy thought and recommended, and what they took next."""

import math
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from gream.config import EvaluationConfig
from gream.evaluation.cases import Cases
from gream.evaluation.policy_evaluation import Recommender
from gream.policy.recommendations import Recommendations
from gream.prompts import load_prompts

SHOWN_ITEMS: Final = 10
MODES: Final[tuple[Literal["direct", "reasoning"], ...]] = ("direct", "reasoning")


class Shown(BaseModel):
    """A recommended item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    probability: float
    """Among all items of the catalogue; after the chain, in reasoning mode."""
    held_out: bool
    """Whether it is the item that the user really took next."""


class ExampleUser(BaseModel):
    """One user's page in the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    history: list[str]
    """Titles, oldest first."""
    held_out: str
    """Title of the item that the user took next."""
    direct: list[Shown]
    reasoning: list[Shown]
    chain: list[str]
    """The chain that `reasoning` follows, stage by stage, with titles in place of index tokens."""


def example_users(
    policy: Recommender,
    titles: Mapping[str, str],
    cases: Cases,
    exclude_seen: bool,
    config: EvaluationConfig,
    seed: int,
    count: int = 10,
) -> list[ExampleUser]:
    """A seeded sample of test users with the policy's answers, good and bad as they come.

    Args:
        policy: the policy.
        titles: title of each item id.
        cases: the test users.
        exclude_seen: the protocol.
        config: width of the search.
        seed: of the sample.
        count: users to draw; all where there are fewer.
    """
    places = np.sort(
        np.random.default_rng(seed).choice(len(cases.users), min(count, len(cases.users)), replace=False)
    ).tolist()
    histories, targets = [cases.histories[place] for place in places], [cases.targets[place] for place in places]
    excludes = histories if exclude_seen else None
    answers = {mode: policy.recommend_batch(histories, SHOWN_ITEMS, mode, excludes, config.beams) for mode in MODES}
    separator = load_prompts("reasoning")["stages"]["separator"]
    return [
        ExampleUser(
            user=cases.users[place],
            history=[titles[item] for item in history],
            held_out=titles[target],
            direct=_shown(direct, target),
            reasoning=_shown(reasoning, target),
            # Cut before titles stand in it, which may hold the separator.
            chain=[policy.render(part) for part in map(str.strip, (reasoning.chain or "").split(separator)) if part],
        )
        for place, history, target, direct, reasoning in zip(
            places, histories, targets, answers["direct"], answers["reasoning"], strict=True
        )
    ]


def _shown(answer: Recommendations, target: str) -> list[Shown]:
    return [
        Shown(title=item.title, probability=math.exp(item.score), held_out=item.item_id == target) for item in answer
    ]
