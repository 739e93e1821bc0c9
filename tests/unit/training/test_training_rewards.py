"""Hand-worked rewards and advantages of SRPO (paper, section 3.3)."""

from math import sqrt

import numpy as np
import pytest

from gream.training.advantages import group_advantage, normalised_rewards, pass_at_k_bonus, success_rate
from gream.training.rewards import exact_reward, residual_reward

pytestmark = pytest.mark.unit

TARGET = ["<|a_1|>", "<|b_2|>", "<|c_3|>", "<|d_4|>"]


def answer(matched: int) -> list[str]:
    return [*TARGET[:matched], *["<|d_99|>"] * (4 - matched)]


@pytest.mark.parametrize(("matched", "reward"), [(0, 0.0), (1, 0.5), (2, sqrt(0.5)), (3, sqrt(0.75)), (4, 1.0)])
def test_reward_is_the_root_of_the_matched_share(matched, reward):
    assert residual_reward(answer(matched), TARGET) == pytest.approx(reward)


@pytest.mark.parametrize(("beta", "reward"), [(1.0, 0.25), (0.5, 0.5), (2.0, 0.0625)])
def test_beta_bends_the_reward(beta, reward):
    assert residual_reward(answer(1), TARGET, beta) == pytest.approx(reward)


def test_levels_are_counted_from_the_target():
    assert residual_reward(["<|a_1|>", "<|b_9|>"], ["<|a_1|>", "<|b_2|>"]) == pytest.approx(sqrt(0.5))


def test_right_codes_with_a_wrong_ordinal_are_capped():
    target = [*TARGET, "<|e_2|>"]
    assert residual_reward([*TARGET, "<|e_1|>"], target) == 0.95
    assert residual_reward(TARGET, target) == 0.95
    assert residual_reward(target, target) == 1.0
    assert residual_reward(answer(3), target) == pytest.approx(sqrt(0.75))


def test_a_match_after_a_mismatch_counts_nothing():
    assert residual_reward(["<|a_9|>", *TARGET[1:]], TARGET) == 0.0


@pytest.mark.parametrize("malformed", [[], ["word"], ["<|b_2|>"]])
def test_malformed_answers_get_nothing(malformed):
    assert residual_reward(malformed, TARGET) == 0.0


def test_reward_refuses_nonsense():
    with pytest.raises(ValueError, match="no code tokens"):
        residual_reward(TARGET, [])
    with pytest.raises(ValueError, match="beta"):
        residual_reward(TARGET, TARGET, beta=0)


def test_exact_reward_knows_no_half():
    assert [exact_reward(answer(matched), TARGET) for matched in range(5)] == [0, 0, 0, 0, 1]


def test_success_rate_by_hand():
    # Of the C(10, 4) = 210 subsets, C(9, 4) = 126 miss the one exact answer.
    assert success_rate(10, 1, 4) == pytest.approx(84 / 210)
    assert success_rate(10, 2, 4) == pytest.approx(1 - 70 / 210)


def test_bonus_by_hand():
    # G = 10, c = 1, K = 4: rho = 0.4, sigma = sqrt(0.24); another answer is beside the exact one in C(8,3)/C(9,3)
    # = 56/84 of its subsets' failures.
    sigma = sqrt(0.24)
    bonus = pass_at_k_bonus([0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 4)
    assert bonus[1] == pytest.approx(0.6 / sigma)
    assert bonus[0] == pytest.approx((0.6 - 56 / 84) / sigma)


@pytest.mark.parametrize("exact", [0, 7, 8, 9, 10])
def test_bonus_vanishes_without_contrast(exact):
    """c = 0: nothing exact. c > G - K = 6: every subset of four holds an exact answer. c = G: all of them are."""
    assert not pass_at_k_bonus([1] * exact + [0] * (10 - exact), 4).any()


def test_last_group_with_a_bonus():
    # c = 6 = G - K: one of 210 subsets fails, and no other subset of a wrong answer does.
    rho = 209 / 210
    sigma = sqrt(rho * (1 - rho))
    bonus = pass_at_k_bonus([1] * 6 + [0] * 4, 4)
    assert bonus[0] == pytest.approx((1 / 210) / sigma)
    assert bonus[9] == pytest.approx((1 / 210 - 1 / 84) / sigma)


@pytest.mark.parametrize("exact", range(5))
def test_bonus_is_zero_when_k_is_the_group(exact):
    assert not pass_at_k_bonus([1] * exact + [0] * (4 - exact), 4).any()


@pytest.mark.parametrize("exact", range(1, 10))
@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_bonus_has_mean_zero(exact, k):
    assert pass_at_k_bonus([1] * exact + [0] * (10 - exact), k).mean() == pytest.approx(0, abs=1e-12)


def test_bonus_refuses_nonsense():
    with pytest.raises(ValueError, match="zeros and ones"):
        pass_at_k_bonus([0.5, 1], 1)
    with pytest.raises(ValueError, match="between 1 and the group size 2"):
        pass_at_k_bonus([0, 1], 3)


def test_group_advantage_is_base_plus_bonus():
    # Rewards 1, 0.5, 0, 0: mean 0.375, sample deviation sqrt(0.6875 / 3). Bonus for G = 4, c = 1, K = 2: 1, -1/3.
    deviation = sqrt(0.6875 / 3)
    expected = [
        0.625 / deviation + 1,
        0.125 / deviation - 1 / 3,
        -0.375 / deviation - 1 / 3,
        -0.375 / deviation - 1 / 3,
    ]
    assert group_advantage([1.0, 0.5, 0.0, 0.0], [1, 0, 0, 0], 2) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reward", [0.0, 0.3, 1.0])
def test_equal_rewards_give_no_advantage(reward):
    hits = [float(reward == 1.0)] * 5
    assert not group_advantage([reward] * 5, hits, 2).any()


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one length"):
        normalised_rewards([1.0, 0.0], [1])


def test_advantages_are_invariant_to_the_order_of_the_group():
    rewards, hits = np.array([1.0, 0.5, 0.5, 0.0, 0.0]), np.array([1, 0, 0, 0, 0])
    order = np.array([3, 0, 4, 1, 2])
    assert group_advantage(rewards[order], hits[order], 2) == pytest.approx(group_advantage(rewards, hits, 2)[order])
