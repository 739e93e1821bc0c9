import copy

import numpy as np
import pytest

from gream.decoding.beam import beam_search
from gream.decoding.score import score_all
from gream.errors import RequestError

pytestmark = pytest.mark.unit


def test_as_many_beams_as_items_give_the_brute_force_ranking(model, trie, prompts, brute_force):
    ranking = beam_search(model, prompts, trie, k=trie.n_items)
    for row, prompt in enumerate(prompts):
        scores = brute_force(prompt)
        assert ranking.items[row].tolist() == np.argsort(-scores).tolist()
        np.testing.assert_allclose(ranking.scores[row], np.sort(scores)[::-1], atol=1e-5)


def test_score_all_is_the_brute_force_distribution(model, trie, prompts, brute_force):
    for prompt in prompts:
        scores = score_all(model, prompt, trie)
        np.testing.assert_allclose(scores, brute_force(prompt), atol=1e-5)
        assert np.exp(scores).sum() == pytest.approx(1.0, abs=1e-12)


def test_score_all_does_not_depend_on_the_slices(model, trie, prompts, monkeypatch):
    whole = score_all(model, prompts[0], trie)
    monkeypatch.setattr("gream.decoding.score.NODES_PER_PASS", 2)
    np.testing.assert_allclose(score_all(model, prompts[0], trie), whole, atol=1e-5)


def test_a_narrow_beam_keeps_the_best_prefixes(model, trie, items, prompts, brute_force):
    # One beam is greedy decoding: at each node the child with the largest probability.
    found = beam_search(model, prompts, trie, k=1, beams=1)
    for row, prompt in enumerate(prompts):
        scores = brute_force(prompt)
        greedy, alive = (), set(range(len(items)))
        while len(alive) > 1 or len(items[min(alive)]) > len(greedy):
            mass = {}
            for item in alive:
                token = items[item][len(greedy)]
                mass[token] = mass.get(token, 0.0) + np.exp(scores[item])
            greedy += (max(mass, key=mass.get),)
            alive = {item for item in alive if items[item][: len(greedy)] == greedy}
        assert found.items[row].tolist() == list(alive)


def test_rows_do_not_influence_each_other(model, trie, prompts):
    together = beam_search(model, prompts, trie, k=5, exclude=[[0, 7], [], [3], [5, 6]])
    alone = beam_search(model, prompts, trie, k=5, exclude=[[0, 7], [], [3], [5, 6]], token_budget=1)
    assert together.items.tolist() == alone.items.tolist()
    np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5)


def test_excluded_items_leave_room_for_others_and_their_scores_alone(model, trie, prompts, brute_force):
    full = beam_search(model, prompts, trie, k=trie.n_items)
    # The three best items of each row: the items that a search which filters afterwards would have spent its beams on.
    exclude = full.items[:, :3]
    ranking = beam_search(model, prompts, trie, k=9, beams=1, exclude=exclude)
    assert ranking.items.tolist() == full.items[:, 3:].tolist()
    np.testing.assert_allclose(ranking.scores, full.scores[:, 3:], atol=1e-6)


def test_never_fewer_than_k_while_allowed_items_remain(model, trie, prompts):
    exclude = [range(10), range(2, 12), [1, 4], range(12)]
    ranking = beam_search(model, prompts, trie, k=3, beams=3, exclude=exclude)
    assert (ranking.items >= 0).sum(axis=1).tolist() == [2, 2, 3, 0]
    assert set(ranking.items[0].tolist()) == {10, 11, -1}
    assert set(ranking.items[1].tolist()) == {0, 1, -1}
    assert np.isneginf(ranking.scores[ranking.items < 0]).all()
    assert np.isfinite(ranking.scores[ranking.items >= 0]).all()


def test_more_asked_than_there_are(model, trie, prompts):
    ranking = beam_search(model, prompts, trie, k=20)
    assert ranking.items.shape == (4, 20)
    assert (ranking.items[:, 12:] == -1).all()
    assert np.sort(ranking.items[:, :12], axis=1).tolist() == [list(range(12))] * 4


def test_equal_scores_are_ordered_by_item_number(model, trie, prompts):
    indifferent = copy.deepcopy(model)
    indifferent.lm_head.weight.data.zero_()
    ranking = beam_search(indifferent, prompts[:1], trie, k=12)
    # Three first tokens; then 2, 2, 2; then 2, 2 (one of them splits again), 1, 3, 1, 2.
    probability = {0: 18, 1: 24, 2: 12, 3: 6, 4: 24, 5: 12, 6: 12, 7: 18, 8: 12, 9: 6, 10: 12, 11: 18}
    expected = sorted(probability, key=lambda item: (probability[item], item))
    assert ranking.items[0].tolist() == expected
    np.testing.assert_allclose(np.exp(ranking.scores[0]), [1 / probability[item] for item in expected], rtol=1e-5)


def test_the_model_is_left_as_it_was(model, trie, prompts):
    model.train()
    beam_search(model, prompts, trie, k=2)
    assert model.training
    model.eval()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": [[1]], "k": 0}, "k must be at least 1"),
        ({"prompts": [[1], []], "k": 1}, "prompt number 1 is empty"),
        ({"prompts": [[1]], "k": 1, "exclude": [[], []]}, "one entry for each of the 1 rows, not 2"),
        ({"prompts": [[1]], "k": 1, "exclude": [[12]]}, "outside the catalogue of 12 items"),
    ],
)
def test_wrong_requests_are_refused(model, trie, arguments, message):
    with pytest.raises(RequestError, match=message):
        beam_search(model, trie=trie, **arguments)


def test_no_prompts_give_an_empty_ranking(model, trie):
    assert beam_search(model, [], trie, k=3).items.shape == (0, 3)
