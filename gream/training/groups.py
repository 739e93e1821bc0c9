"""Scored groups, and dynamic sampling of those that carry signal (paper, section 3.3)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from gream.config import SrpoConfig
from gream.training.advantages import Floats, group_advantage, is_constant, normalised_rewards, success_rate
from gream.training.rewards import exact_reward, residual_reward
from gream.training.rollouts import Rollout, Task


@dataclass(frozen=True)
class Group:
    """The G answers to one prompt.

    Attributes:
        rollouts: G completions.
        rewards: (G,) rewards.
        hits: (G,) whether the answer is exactly the target.
        advantages: (G,) advantages.
    """

    rollouts: list[Rollout]
    rewards: Floats
    hits: Floats
    advantages: Floats

    @property
    def has_signal(self) -> bool:
        """False where all rewards are equal."""
        return not is_constant(self.rewards)


def score_group(rollouts: list[Rollout], target: int, index: Sequence[Sequence[str]], config: SrpoConfig) -> Group:
    """Rewards and advantages of one group.

    A completion whose chain had to be cut is malformed and gets 0, whatever its answer.

    Args:
        rollouts: the G completions.
        target: number of the true item.
        index: index tokens of every item, by item number.
        config: reward, bonus and K.
    """
    rewards = np.array([_reward(rollout, target, index, config) for rollout in rollouts])
    hits = np.array([float(rollout.well_formed and rollout.item == target) for rollout in rollouts])
    advantages = group_advantage(rewards, hits, config.pass_k) if config.bonus else normalised_rewards(rewards, hits)
    return Group(rollouts, rewards, hits, advantages)


def _reward(rollout: Rollout, target: int, index: Sequence[Sequence[str]], config: SrpoConfig) -> float:
    if not rollout.well_formed:
        return 0.0
    if config.residual_reward:
        return residual_reward(index[rollout.item], index[target], config.beta)
    return exact_reward(index[rollout.item], index[target])


@dataclass
class Draw:
    """Groups for one step, and what it took to get them.

    Attributes:
        groups: as many as asked for; those without signal only where fresh prompts ran out.
        sampled: every group that was rolled out, kept or not: statistics are over these, or they would be biased.
        rounds: generation rounds used.
    """

    groups: list[Group] = field(default_factory=list)
    sampled: list[Group] = field(default_factory=list)
    rounds: int = 0


def draw_groups(
    tasks: Iterator[Task], wanted: int, max_rounds: int, roll: Callable[[list[Task], int], list[Group]]
) -> Draw:
    """Roll out prompts until `wanted` groups carry signal; groups of equal rewards are replaced by fresh prompts.

    A round takes as long as its longest chain, so few rounds are better than few rollouts: each draws as many prompts
    as should fill the gap at the share with signal seen so far, at most `wanted`. A surplus is dropped, the last first.

    Args:
        tasks: fresh prompts, without end.
        wanted: groups to return.
        max_rounds: generation rounds after which groups without signal fill up what is missing.
        roll: called with tasks and the round's number, returns one scored group for each.
    """
    draw = Draw()
    flat: list[Group] = []
    while len(draw.groups) < wanted and draw.rounds < max_rounds:
        missing = wanted - len(draw.groups)
        expected = missing * (len(draw.sampled) + 1) / (len(draw.groups) + 1)
        made = roll([next(tasks) for _ in range(min(wanted, ceil(expected)))], draw.rounds)
        draw.sampled += made
        draw.groups += [group for group in made if group.has_signal]
        flat += [group for group in made if not group.has_signal]
        draw.rounds += 1
    draw.groups = [*draw.groups, *flat][:wanted]
    return draw


def statistics(draw: Draw, config: SrpoConfig, legal: Callable[[int], bool]) -> dict[str, float]:
    """The numbers that tell whether SRPO is healthy, over all sampled groups.

    Returns:
        `reward`, `reward_variance` (mean within groups), `rho` (mean pass@K estimate), `exact_share`,
        `zero_variance_share`, `entropy` (of a sampled token, in nats, as the mean of -log p estimates it without bias),
        `illegal_answers` (a count: always 0), `cut_chains_share`, `completion_tokens`, `rounds`.
    """
    rollouts = [rollout for group in draw.sampled for rollout in group.rollouts]
    surprises = [-p for rollout in rollouts for p, real in zip(rollout.log_probs, rollout.sampled, strict=True) if real]
    return {
        "reward": float(np.mean([group.rewards.mean() for group in draw.sampled])),
        "reward_variance": float(np.mean([group.rewards.var() for group in draw.sampled])),
        "rho": float(np.mean([success_rate(len(g.hits), int(g.hits.sum()), config.pass_k) for g in draw.sampled])),
        "exact_share": float(np.mean([group.hits.mean() for group in draw.sampled])),
        "zero_variance_share": float(np.mean([not group.has_signal for group in draw.sampled])),
        "entropy": float(np.mean(surprises)),
        "illegal_answers": float(sum(not legal(rollout.item) for rollout in rollouts)),
        "cut_chains_share": float(np.mean([not rollout.well_formed for rollout in rollouts])),
        "completion_tokens": float(np.mean([len(rollout.completion) for rollout in rollouts])),
        "rounds": float(draw.rounds),
    }
