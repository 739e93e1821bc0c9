import numpy as np
import pytest
from scipy import sparse

from gream.decoding.beam import beam_search
from gream.decoding.prior import ItemPrior
from gream.errors import RequestError

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def prior(trie):
    """Scores for four rows; the last row has no opinion."""
    scores = np.zeros((4, trie.n_items))
    scores[0, [0, 1, 4]] = [3.0, 2.0, 5.0]
    scores[1, [11]] = [0.5]
    scores[2, :] = np.arange(12)
    return ItemPrior.of(sparse.csr_matrix(scores), 0.4, exclude=None)


def mixed(prior, row, scores):
    """By hand: (1 - w) p + w q, and p alone where the prior has no opinion."""
    opinion = np.asarray(prior.distributions.todense())[row]
    return np.log(0.6 * np.exp(scores) + 0.4 * opinion) if opinion.any() else scores


def test_scores_become_distributions_without_what_is_excluded():
    scores = sparse.csr_matrix(np.array([[1.0, 3.0, 4.0], [0.0, 2.0, 0.0], [2.0, 0.0, 6.0]]))
    prior = ItemPrior.of(scores, 0.5, exclude=[[2], [1], []])
    assert prior.distributions.toarray().tolist() == [[0.25, 0.75, 0.0], [0.0, 0.0, 0.0], [0.25, 0.0, 0.75]]
    assert prior.weights.tolist() == [0.5, 0.0, 0.5]
    assert scores.toarray()[0, 2] == 4.0  # what was given is left as it was


def test_a_discount_leaves_to_the_policy_what_was_seen_once():
    scores = sparse.csr_matrix(np.array([[1.0, 3.0, 4.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    prior = ItemPrior.of(scores, 0.8, exclude=[[], [], []], discount=1.0)
    np.testing.assert_allclose(prior.distributions.toarray(), [[0.0, 0.4, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert prior.weights.tolist() == [0.8 * 5 / 8, 0.0, 0.0]


def test_what_is_excluded_has_no_part_in_the_weight():
    scores = sparse.csr_matrix(np.array([[2.0, 3.0, 95.0]]))
    assert ItemPrior.of(scores, 1.0, exclude=[[2]], discount=1.0).weights.tolist() == [3 / 5]


def test_as_many_beams_as_items_give_the_ranking_of_the_mixture(model, trie, prompts, brute_force, prior):
    ranking = beam_search(model, prompts, trie, k=trie.n_items, prior=prior)
    for row, prompt in enumerate(prompts):
        scores = mixed(prior, row, brute_force(prompt))
        assert np.exp(scores).sum() == pytest.approx(1.0)
        assert ranking.items[row].tolist() == np.argsort(-scores).tolist()
        np.testing.assert_allclose(ranking.scores[row], np.sort(scores)[::-1], atol=1e-5)


def test_a_narrow_beam_finds_what_only_the_prior_knows(model, trie, prompts, brute_force):
    least = [int(np.argmin(brute_force(prompt))) for prompt in prompts]
    sure = sparse.csr_matrix((np.ones(4), (range(4), least)), shape=(4, trie.n_items))
    ranking = beam_search(model, prompts, trie, k=1, beams=1, prior=ItemPrior.of(sure, 0.9, exclude=None))
    assert ranking.items[:, 0].tolist() == least


def test_excluded_items_stay_away_whatever_the_prior_says(model, trie, prompts, prior):
    ranking = beam_search(model, prompts, trie, k=3, beams=12, exclude=[[0, 1, 4], [11], [], range(12)], prior=prior)
    assert not {0, 1, 4} & set(ranking.items[0].tolist())
    assert 11 not in ranking.items[1]
    assert ranking.items[3].tolist() == [-1, -1, -1]


def test_rows_are_mixed_with_their_own_opinion_in_any_batch(model, trie, prompts, prior):
    together = beam_search(model, prompts, trie, k=5, prior=prior)
    alone = beam_search(model, prompts, trie, k=5, prior=prior, token_budget=1)
    assert together.items.tolist() == alone.items.tolist()
    np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5)


def test_mixing_all_items_is_the_same_sum(prior, brute_force, prompts):
    for row, prompt in enumerate(prompts):
        scores = brute_force(prompt)
        np.testing.assert_allclose(prior.mix_items(row, scores), mixed(prior, row, scores), atol=1e-12)


def test_what_does_not_fit_is_refused(model, trie, prompts, prior):
    with pytest.raises(RequestError, match=r"\(prompts, items\) = \(1, 12\), not \(4, 12\)"):
        beam_search(model, prompts[:1], trie, k=1, prior=prior)
    with pytest.raises(RequestError, match=r"at least 0 and below 1 in each row, not 1\.0"):
        ItemPrior(prior.distributions, np.array([0.5, 1.0, 0.5, 0.5]))
