"""Exchanges of history items, and what a policy makes of them that is faithful to its chain, or is not."""

import numpy as np
import pytest
from tiny_policy import write_tiny_policy

from gream.evaluation.faithfulness import Exchange, Faithfulness, choose_exchange, draw_newcomer, measure_faithfulness
from gream.policy.policy import Policy
from gream.policy.recommendations import Recommendations, ScoredItem

pytestmark = pytest.mark.unit

TOKENS = {f"i{number}": (f"<|a_{number + 1}|>", "<|b_1|>") for number in range(40)}
TEXT = {item: "".join(tokens) for item, tokens in TOKENS.items()}
HISTORIES = [["i0", "i1", "i2"], ["i3", "i4", "i5"], ["i6"]]


class Answering:
    """Cites the second item of a history, and answers with ten items that `of` draws from history and cited item."""

    def __init__(self, reasoning, direct):
        self.of = {"reasoning": reasoning, "direct": direct}

    def recommend_batch(self, histories, k=10, mode="direct", excludes=None, luck=None, progress=""):
        answers = []
        for history, left_out in zip(histories, excludes, strict=True):
            cited = history[min(1, len(history) - 1)]
            random = np.random.default_rng([*self.of[mode](history, cited).encode()])
            allowed = [item for item in TOKENS if item not in left_out]
            items = tuple(ScoredItem(item, "", 0.0, TOKENS[item]) for item in random.choice(allowed, k, replace=False))
            answers.append(Recommendations(items, f"evidence: {TEXT[cited]}" if mode == "reasoning" else None))
        return answers


def test_an_answer_that_rests_on_the_cited_item_changes_with_that_item_alone():
    policy = Answering(reasoning=lambda history, cited: cited, direct=lambda history, cited: "always the same")
    exchanges, found = measure_faithfulness(policy, TOKENS, HISTORIES, window=10, seed=0)
    assert [(one.row, one.cited) for one in exchanges] == [(0, 1), (1, 1)]  # i6 stands alone: all of it is cited.
    assert all(one.uncited in (0, 2) for one in exchanges)
    assert found.uncited["reasoning"].tolist() == [0.0, 0.0]
    assert (found.cited["reasoning"] > 0.3).all()
    assert found.difference("reasoning").value == found.cited["reasoning"].mean()
    assert found.due_to_chain() == found.difference("reasoning")


def test_an_answer_that_moves_without_a_chain_too_owes_it_nothing():
    def whole(history, cited):
        return cited

    _, found = measure_faithfulness(Answering(whole, whole), TOKENS, HISTORIES, window=10, seed=0)
    assert found.difference("direct").value > 0.3
    assert found.due_to_chain().value == 0.0


def test_an_exchange_that_the_prompt_does_not_show_changes_no_answer(tmp_path):
    """Chains see, and cite, the latest item alone; the one before decides nothing but random numbers of its history."""
    ids = write_tiny_policy(tmp_path / "policy", reasoning_window=1)
    policy = Policy.load(tmp_path / "policy")
    tokens = dict(zip(ids, policy.index.encode(ids), strict=True))
    exchanges, found = measure_faithfulness(policy, tokens, [ids[n : n + 2] for n in range(8)], window=2, seed=0)
    assert len(exchanges) > 4
    assert {(one.cited, one.uncited) for one in exchanges} == {(1, 0)}
    assert found.cited["reasoning"].mean() > 0.1
    assert not found.uncited["reasoning"].any()


def test_differences_by_hand():
    found = Faithfulness(
        cited={"reasoning": np.array([0.9, 0.5]), "direct": np.array([0.4, 0.4])},
        uncited={"reasoning": np.array([0.3, 0.1]), "direct": np.array([0.2, 0.2])},
    )
    assert found.difference("reasoning").value == pytest.approx(0.5)
    assert found.difference("direct").value == pytest.approx(0.2)
    assert found.due_to_chain().value == pytest.approx(0.3)


def choose(chain, history, window=10, seed=0):
    return choose_exchange(4, history, chain, TOKENS, window, "i9", np.random.default_rng(seed))


def test_the_closest_pair_is_exchanged():
    history = ["i0", "i1", "i2", "i3"]
    assert choose(TEXT["i0"] + TEXT["i1"], history) == Exchange(row=4, cited=1, uncited=2, newcomer="i9")
    assert {choose(TEXT["i2"], history, seed=seed).uncited for seed in range(20)} == {1, 3}


def test_what_the_prompt_does_not_hold_is_not_exchanged():
    history = ["i0", "i1", "i2", "i3"]
    assert choose(TEXT["i2"], history, window=2) == Exchange(row=4, cited=2, uncited=3, newcomer="i9")
    assert choose(TEXT["i0"], history, window=2) is None


@pytest.mark.parametrize("chain", ["", "likes films", TEXT["i0"] + TEXT["i1"]])
def test_a_chain_that_cites_nothing_or_everything_allows_no_exchange(chain):
    assert choose(chain, ["i0", "i1"]) is None


def test_a_newcomer_is_new():
    drawn = {draw_newcomer(["a", "b", "c", "d"], ["a", "c"], np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {"b", "d"}
