import numpy as np
import pytest
import torch
from scipy import sparse

from gream.decoding.beam import beam_search
from gream.decoding.prior import SMOOTHING, ItemPrior, log_total
from gream.errors import RequestError

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def prior(trie):
    """Counts for four rows; the last row has no opinion."""
    counts = np.zeros((4, trie.n_items))
    counts[0, [0, 1, 4]] = [3.0, 2.0, 5.0]
    counts[1, [11]] = [0.5]
    counts[2, :] = np.arange(12)
    return ItemPrior.of(sparse.csr_matrix(counts), 0.4)


def together(prior, row, scores):
    """By hand: the policy's probabilities times (1 + count / smoothing) ** weight, made a distribution again."""
    product = np.exp(scores) * np.exp(prior.bonus.toarray()[row])
    return np.log(product / product.sum())


def test_a_count_becomes_a_bonus():
    counts = sparse.csr_matrix(np.array([[0.0, SMOOTHING, 3 * SMOOTHING]]))
    # Factors of 1, 2 and 4, to the power of the weight.
    np.testing.assert_allclose(np.exp(ItemPrior.of(counts, 1.0).bonus.toarray()), [[1.0, 2.0, 4.0]])
    np.testing.assert_allclose(np.exp(ItemPrior.of(counts, 2.0).bonus.toarray()), [[1.0, 4.0, 16.0]])
    assert not ItemPrior.of(counts, 0.0).bonus.toarray().any()
    assert counts.toarray()[0, 1] == SMOOTHING  # what was given is left as it was


def test_all_items_at_once_by_hand():
    prior = ItemPrior.of(sparse.csr_matrix(np.array([[SMOOTHING, 0.0, 3 * SMOOTHING]])), 1.0)
    # .5 * 2, .4 * 1 and .1 * 4 are 1.8 together.
    found = np.exp(prior.add_to(0, np.log([0.5, 0.4, 0.1])))
    np.testing.assert_allclose(found, [1.0 / 1.8, 0.4 / 1.8, 0.4 / 1.8])


def test_items_that_a_search_has_not_seen_count_as_without_a_bonus():
    log_probs = torch.tensor([[0.5, 0.1, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]).log()
    ranked = log_probs + torch.tensor([2.0, 4.0, 8.0]).log()
    # .5 * 2 + .1 * 4, and .4 that was not seen; all seen; none seen.
    np.testing.assert_allclose(log_total(log_probs, ranked).exp().flatten(), [1.8, 3.0, 1.0], rtol=1e-6)


def test_as_many_beams_as_items_give_the_ranking_of_both_together(model, trie, prompts, brute_force, prior):
    ranking = beam_search(model, prompts, trie, k=trie.n_items, prior=prior)
    for row, prompt in enumerate(prompts):
        scores = together(prior, row, brute_force(prompt))
        assert ranking.items[row].tolist() == np.argsort(-scores).tolist()
        np.testing.assert_allclose(ranking.scores[row], np.sort(scores)[::-1], atol=1e-5)


def test_scores_of_a_narrow_beam_are_log_probabilities(model, trie, prompts, prior):
    scores = beam_search(model, prompts, trie, k=2, beams=3, prior=prior).scores
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (np.exp(scores).sum(axis=1) <= 1.0).all()


def test_a_narrow_beam_finds_what_only_the_prior_knows(model, trie, prompts, brute_force):
    least = [int(np.argmin(brute_force(prompt))) for prompt in prompts]
    sure = sparse.csr_matrix((np.ones(4), (range(4), least)), shape=(4, trie.n_items))
    ranking = beam_search(model, prompts, trie, k=1, beams=1, prior=ItemPrior.of(sure, 20.0))
    assert ranking.items[:, 0].tolist() == least


def test_excluded_items_have_no_bonus():
    counts = sparse.csr_matrix(np.array([[1.0, 2.0, 0.0], [1.0, 2.0, 4.0]]))
    bonus = ItemPrior.of(counts, 1.0, exclude=[[1, 1, 2], []]).bonus
    assert bonus.toarray()[0].tolist() == [np.log1p(1 / SMOOTHING), 0.0, 0.0]
    assert (bonus.toarray()[1] == np.log1p(np.array([1.0, 2.0, 4.0]) / SMOOTHING)).all()
    assert bonus.nnz == 4


def test_a_narrow_beam_does_not_follow_what_may_not_come_back(model, trie, prompts, brute_force):
    """An item that the counts are sure of, but that is excluded, must not draw the only beam to its neighbours."""
    least = [[int(np.argmin(brute_force(prompt)))] for prompt in prompts]
    sure = sparse.csr_matrix((np.ones(4), (range(4), [item for (item,) in least])), shape=(4, trie.n_items))
    without = beam_search(model, prompts, trie, k=1, beams=1, exclude=least)
    drawn = beam_search(model, prompts, trie, k=1, beams=1, exclude=least, prior=ItemPrior.of(sure, 20.0))
    silent = beam_search(model, prompts, trie, k=1, beams=1, exclude=least, prior=ItemPrior.of(sure, 20.0, least))
    assert drawn.items.tolist() != without.items.tolist()
    assert silent.items.tolist() == without.items.tolist()


def test_excluded_items_stay_away_whatever_the_prior_says(model, trie, prompts, prior):
    ranking = beam_search(model, prompts, trie, k=3, beams=12, exclude=[[0, 1, 4], [11], [], range(12)], prior=prior)
    assert not {0, 1, 4} & set(ranking.items[0].tolist())
    assert 11 not in ranking.items[1]
    assert ranking.items[3].tolist() == [-1, -1, -1]


def test_rows_are_ranked_by_their_own_counts_in_any_batch(model, trie, prompts, prior):
    together_ = beam_search(model, prompts, trie, k=5, prior=prior)
    alone = beam_search(model, prompts, trie, k=5, prior=prior, token_budget=1)
    assert together_.items.tolist() == alone.items.tolist()
    np.testing.assert_allclose(together_.scores, alone.scores, atol=1e-5)


def test_all_items_at_once_are_the_same_product(prior, brute_force, prompts):
    for row, prompt in enumerate(prompts):
        scores = brute_force(prompt)
        np.testing.assert_allclose(prior.add_to(row, scores), together(prior, row, scores), atol=1e-9)


def test_what_does_not_fit_is_refused(model, trie, prompts, prior):
    with pytest.raises(RequestError, match=r"\(prompts, items\) = \(1, 12\), not \(4, 12\)"):
        beam_search(model, prompts[:1], trie, k=1, prior=prior)
    with pytest.raises(RequestError, match=r"weight must be at least 0, not -1\.0"):
        ItemPrior.of(prior.bonus, -1.0)
