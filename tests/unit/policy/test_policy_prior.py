"""Transition counts as the prior of a policy's search."""

import math

import numpy as np
import pytest
from scipy import sparse

from gream.data.transitions import transition_counts
from gream.policy.bundle import save_policy
from gream.policy.policy import Policy
from gream.policy.transition_prior import PriorWeights, TransitionPrior
from gream.training.prior_weights import fit_prior_weights

pytestmark = pytest.mark.unit

HISTORY = ["m0", "m3", "m1"]
WALKS = [[0, 3, 1, 7], [3, 1, 7, 2], [1, 7, 9], [4, 5]]


@pytest.fixture(scope="module")
def guided(policy, tmp_path_factory):
    """The policy with a prior, saved and loaded again."""
    path = tmp_path_factory.mktemp("guided") / "policy"
    facts = policy.facts.model_copy(update={"prior": PriorWeights(direct=0.5, reasoning=0.25)})
    prior = TransitionPrior(transition_counts(WALKS, 10))
    save_policy(path, policy.model, policy.tokenizer, policy.index, policy.items, facts, prior)
    return Policy.load(path)


def test_scores_are_those_of_both_and_still_a_distribution(policy, guided):
    alone, both = policy.score_all(HISTORY), guided.score_all(HISTORY)
    # After m1 (latest): 7 three times at distance 1, 2 and 9 once at 2; before it 3 twice at 1, 0 once at 2. After m3
    # (0.4): 1 twice at 1, 7 twice at 2, 2 once at 3; before it 0 once. Then m0 (0.16): 3 at 1, 1 at 2, 7 at 3.
    counts = np.zeros(10)
    counts[[7, 2, 9, 3, 0]] += [3, 1 / 2, 1 / 2, 0.25 * 2, 0.25 / 2]
    counts[[1, 7, 2, 0]] += 0.4 * np.array([2, 1, 1 / 3, 0.25])
    counts[[3, 1, 7]] += 0.16 * np.array([1, 1 / 2, 1 / 3])
    product = np.exp(list(alone.values())) * (1 + counts / 0.3) ** 0.5
    assert np.exp(list(both.values())) == pytest.approx(product / product.sum())


@pytest.mark.parametrize("mode", ["direct", "reasoning"])
def test_recommendations_follow_both(policy, guided, mode):
    found, alone = guided.recommend(HISTORY, k=10, mode=mode), policy.recommend(HISTORY, k=10, mode=mode)
    bonus = guided.prior.after([guided.numbers(HISTORY)], 0.5 if mode == "direct" else 0.25).bonus.toarray()[0]
    ranked = {item.item_id: item.score + bonus[int(item.item_id[1:])] for item in alone}
    total = math.log(sum(map(math.exp, ranked.values())))
    assert found.chain == alone.chain
    assert [item.item_id for item in found] == sorted(ranked, key=ranked.get, reverse=True)
    assert [item.score for item in found] == pytest.approx([ranked[item.item_id] - total for item in found], abs=1e-4)


def test_a_bonus_of_excluded_items_is_shared_out_among_the_others(policy, guided):
    """All ten items are seen by the search: what is left of them, and the policy's own share of those left out."""
    found = guided.recommend(HISTORY, k=10, exclude=HISTORY)
    left_out = sum(math.exp(score) for item, score in policy.score_all(HISTORY).items() if item in HISTORY)
    factor = np.exp(guided.prior.after([guided.numbers(HISTORY)], 0.5).bonus.toarray()[0])
    product = {item: math.exp(score) * factor[int(item[1:])] for item, score in policy.score_all(HISTORY).items()}
    total = left_out + sum(value for item, value in product.items() if item not in HISTORY)
    assert {item.item_id: item.score for item in found} == pytest.approx(
        {item: math.log(value / total) for item, value in product.items() if item not in HISTORY}, abs=1e-4
    )
    assert found[0].item_id == "m7"


def test_without_its_prior_a_policy_is_as_before(policy, guided):
    assert guided.without_prior().score_all(HISTORY) == policy.score_all(HISTORY)
    assert guided.score_all(["m8"]) == pytest.approx(policy.score_all(["m8"]))  # nobody went on from m8


def test_priors_are_made_a_portion_at_a_time(guided, monkeypatch):
    histories = [HISTORY, ["m3"], ["m4"], ["m7", "m1"], ["m0"]]
    found = guided.recommend_batch(histories, k=3)
    made, opinion = [], guided.opinion
    monkeypatch.setattr("gream.policy.policy.PORTION", 2)
    monkeypatch.setattr(guided, "opinion", lambda queries, mode: made.append(len(queries)) or opinion(queries, mode))
    portions = guided.recommend_batch(histories, k=3)
    assert made == [2, 2, 1]
    assert [[item.item_id for item in row] for row in portions] == [[item.item_id for item in row] for row in found]


def test_pass_at_k_asks_the_policy_itself(policy, guided):
    assert guided.reason_batch([HISTORY], chains=4, seed=1) == policy.reason_batch([HISTORY], chains=4, seed=1)


def test_items_that_came_later_have_no_counts(tmp_path):
    TransitionPrior(transition_counts([[0, 1]], 2)).save(tmp_path)
    bonus = TransitionPrior.load(tmp_path, 4).after([[0], [3]], 0.5).bonus.toarray()
    assert bonus[0].tolist() == pytest.approx([0.0, 0.5 * math.log(1 + 1 / 0.3), 0.0, 0.0])
    assert not bonus[1].any()


def test_a_prior_that_knows_the_answers_gets_weight_and_one_that_does_not_gets_none(policy):
    # Two thirds of the users go on to what the policy itself likes least.
    scores = policy.score_all(["m1"])
    least = min((item for item in scores if item != "m1"), key=scores.get)
    histories, targets = [["m1"], ["m1"], ["m0"]], [least, least, "m3"]

    def fit(walks):
        prior = TransitionPrior(transition_counts(walks, 10))
        return fit_prior_weights(policy, prior, histories, targets, exclude_seen=True, seed=0)

    right = fit([[1, int(least[1:])], [0, 3]])
    assert min(right.direct, right.reasoning) > 0
    # Counts of another item put nothing in front of the right ones but that item: the smallest weight is as good.
    assert fit([[8, 9]]) == PriorWeights(direct=0.0, reasoning=0.0)


def test_counts_are_kept_as_they_are(tmp_path):
    counts = transition_counts(WALKS, 10)
    TransitionPrior(counts).save(tmp_path)
    assert sparse.linalg.norm(TransitionPrior.load(tmp_path, 10).counts - counts) == 0
