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
    monkeypatch.setattr(guided, "opinion", lambda queries, *rest: made.append(len(queries)) or opinion(queries, *rest))
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


def crowded(n_items, length):
    """Counts in which the first twelve items were followed by `length` others each, by none of them alike often."""
    before = np.repeat(np.arange(12), length)
    after = 12 + np.arange(12 * length)
    return sparse.csr_matrix((1.0 + np.arange(12 * length)[::-1], (before, after)), shape=(n_items, n_items))


@pytest.mark.parametrize(
    ("n_items", "kept"), [(40_000, 2_048), (244_140, 2_048), (250_000, 2_000), (1_000_000, 500), (7_900_000, 64)]
)
def test_of_a_popular_item_the_largest_counts_are_kept_and_fewer_in_a_large_catalogue(n_items, kept):
    counts = TransitionPrior(crowded(n_items, 2_100)).counts
    assert np.diff(counts.indptr)[:13].tolist() == [kept] * 12 + [0]
    assert counts[0].indices.tolist() == list(range(12, 12 + kept))


def test_what_was_counted_before_rows_had_an_end_is_cut_when_it_is_read(tmp_path):
    sparse.save_npz(tmp_path / "transitions.npz", crowded(40_000, 2_100))
    counts = TransitionPrior.load(tmp_path, 40_001).counts
    assert counts.shape == (40_001, 40_001)
    assert counts.nnz == 12 * 2_048


def test_the_bonuses_of_a_request_are_as_many_in_a_catalogue_of_any_size():
    for n_items, length in ((40_000, 3_000), (120_000, 9_000)):
        prior = TransitionPrior(crowded(n_items, length))
        bonus = prior.after([np.arange(12)], 1.0).bonus
        assert bonus.nnz == 10_000
        # Item 11 was the last: all that is kept of it outweighs what is kept of item 0, eleven steps earlier.
        assert set(range(12 + 11 * length, 12 + 11 * length + 2_048)) <= set(bonus.indices.tolist())
