import numpy as np
import pytest
import torch

from gream.decoding.answers import sample_answers
from gream.decoding.grounding import ChainTokens, Grounding
from gream.decoding.mask import masked_log_probs
from gream.errors import RequestError

pytestmark = pytest.mark.unit

TEMPERATURE = 0.8


def numbers(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def answers(model, trie, prompts):
    return sample_answers(model, prompts, trie, numbers(4, 30, trie.depth), temperature=TEMPERATURE)


def test_answers_are_items_with_their_path(trie, items, answers):
    for row in answers:
        for answer in row:
            assert tuple(answer.tokens) == items[answer.item]
            assert len(answer.log_probs) == len(answer.nodes) == len(answer.tokens)
            assert [trie.child(node, token) for node, token in zip(answer.nodes, answer.tokens, strict=True)] == [
                *answer.nodes[1:],
                trie.leaf_of_item[answer.item],
            ]


def test_items_come_as_often_as_their_probability_says(model, trie, prompts, brute_force):
    draws = 4_000
    rows = sample_answers(model, [prompts[0]] * 100, trie, numbers(100, draws // 100, trie.depth))
    row = [answer for answers in rows for answer in answers]
    counts = np.bincount([answer.item for answer in row], minlength=trie.n_items)
    expected = np.exp(brute_force(prompts[0]))
    four_sigma = 4 * np.sqrt(draws * expected * (1 - expected))
    assert (np.abs(counts - draws * expected) <= four_sigma).all()
    logged = {answer.item: sum(answer.log_probs) for answer in row}
    for item, log_probability in logged.items():
        assert log_probability == pytest.approx(np.log(expected[item]), abs=1e-4)


def greedy_item(items, mass):
    """The item that is reached by the most probable token at each place."""
    alive, place = list(range(len(items))), 0
    while len(alive) > 1:
        by_token = {}
        for item in alive:
            by_token.setdefault(items[item][place], []).append(item)
        alive = max(by_token.values(), key=lambda group: sum(mass[item] for item in group))
        place += 1
    return alive[0]


def test_of_a_nucleus_without_mass_the_most_probable_token_is_left_at_each_place(
    model, trie, prompts, items, brute_force
):
    rows = sample_answers(model, prompts, trie, numbers(4, 50, trie.depth), top_p=1e-6)
    wanted = [{greedy_item(items, np.exp(brute_force(prompt)))} for prompt in prompts]
    assert [{answer.item for answer in row} for row in rows] == wanted


def test_excluded_items_are_never_sampled(model, trie, prompts):
    exclude = [[0, 1, 2, 4, 6, 8], list(range(11)), [], [5]]
    sampled = sample_answers(model, prompts, trie, numbers(4, 50, trie.depth), exclude=exclude)
    seen = [{answer.item for answer in row} for row in sampled]
    assert all(not items & set(row) for items, row in zip(seen, exclude, strict=True))
    assert seen[1] == {11}
    assert [sum(answer.log_probs) for answer in sampled[1]] == [0.0] * 50
    with pytest.raises(RequestError, match="excludes all 12 items"):
        sample_answers(model, prompts, trie, numbers(4, 1, trie.depth), exclude=[[], [], [], range(12)])


def test_the_trainer_finds_the_log_probabilities_of_the_sampler(model, trie, prompts, answers):
    grounding = Grounding.of(trie, [[]], ChainTokens([], []), torch.device("cpu"))
    for prompt, row in zip(prompts, answers, strict=True):
        for answer in row[:5]:
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *answer.tokens]])).logits[:, len(prompt) - 1 : -1]
            tokens, nodes = torch.tensor([answer.tokens]), torch.tensor([answer.nodes])
            masked, _ = masked_log_probs(logits, tokens, nodes, grounding, TEMPERATURE)
            np.testing.assert_allclose(masked[0].numpy(), answer.log_probs, atol=1e-5)
            free, _ = masked_log_probs(logits, tokens, torch.full_like(nodes, -1), grounding, TEMPERATURE)
            # The bias that the mask avoids: over the whole vocabulary every one of them is smaller.
            assert (free < masked - 1e-3).all()


def test_numbers_that_do_not_fit_are_refused(model, trie, prompts):
    with pytest.raises(RequestError, match=r"shape \(prefixes, samples, trie.depth\) = \(4, >= 1, 4\)"):
        sample_answers(model, prompts, trie, numbers(4, 3))
    with pytest.raises(RequestError, match="exclude must have one entry for each of the 4 rows, not 1"):
        sample_answers(model, prompts, trie, numbers(4, 1, trie.depth), exclude=[[]])
