import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gream.errors import ConfigError
from gream.evaluation import ranking
from gream.evaluation.metrics import ndcg_at_k, recall_at_k
from gream.evaluation.ranking import NO_ITEM, numbered, pass_values, rank_histories, top_k, user_values

pytestmark = pytest.mark.unit


class Fixed:
    """Scores every item by a fixed vector."""

    def __init__(self, scores):
        self.scores = np.array(scores, dtype=float)
        self.batches = []

    def score(self, histories):
        self.batches.append(len(histories))
        return np.tile(self.scores, (len(histories), 1))


def test_top_k_orders_by_score_and_breaks_ties_by_number():
    scores = np.array([[0.1, 0.9, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0]])
    assert top_k(scores, 3).tolist() == [[1, 2, 3], [0, 1, 2]]


def test_top_k_leaves_places_empty_where_items_run_out():
    scores = np.array([[0.1, -np.inf, 0.5], [-np.inf, -np.inf, -np.inf]])
    assert top_k(scores, 4).tolist() == [[2, 0, NO_ITEM, NO_ITEM], [NO_ITEM] * 4]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 25))
def test_top_k_agrees_with_a_full_stable_sort(row, k):
    expected = sorted(range(len(row)), key=lambda item: (-row[item], item))[:k]
    assert top_k(np.array([row], dtype=float), k)[0].tolist() == expected + [NO_ITEM] * (k - len(expected))


def test_the_protocol_decides_whether_seen_items_are_ranked():
    scorer = Fixed([4, 3, 2, 1])
    histories = [[0], [1, 0], []]
    assert rank_histories(scorer, histories, 2, exclude_seen=False).tolist() == [[0, 1]] * 3
    assert rank_histories(scorer, histories, 2, exclude_seen=True).tolist() == [[1, 2], [2, 3], [0, 1]]


def test_batches_bound_the_score_matrix(monkeypatch):
    monkeypatch.setattr(ranking, "SCORES_AT_ONCE", 12)
    scorer = Fixed([4, 3, 2, 1])
    ranked = rank_histories(scorer, [[user % 4] for user in range(8)], 1, exclude_seen=True)
    assert ranked[:, 0].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    assert max(scorer.batches) == 3
    assert sum(scorer.batches) == 8


def test_user_values_by_hand():
    ranked = np.array([[7, 8, 9], [7, 8, 9], [7, 8, 9]])
    values = user_values(ranked, np.array([7, 9, 1]), cutoffs=(1, 3))
    assert values["recall@1"].tolist() == [1, 0, 0]
    assert values["recall@3"].tolist() == [1, 1, 0]
    assert values["ndcg@1"].tolist() == [1, 0, 0]
    assert values["ndcg@3"].tolist() == [1, 0.5, 0]


@given(st.permutations(range(8)), st.integers(0, 9), st.integers(1, 8))
def test_matrices_and_the_public_metrics_agree(items, target, k):
    values = user_values(np.array([items]), np.array([target]), cutoffs=(k,))
    names = [f"item {item}" for item in items]
    assert values[f"recall@{k}"][0] == recall_at_k(names, f"item {target}", k)
    assert values[f"ndcg@{k}"][0] == pytest.approx(ndcg_at_k(names, f"item {target}", k))


def test_lists_that_are_too_short_or_without_targets_are_refused():
    with pytest.raises(ConfigError, match="recall@10 needs lists of that length; got 3"):
        user_values(np.zeros((2, 3), dtype=int), np.zeros(2, dtype=int), cutoffs=(5, 10))
    with pytest.raises(ConfigError, match="one target for each"):
        user_values(np.zeros((2, 3), dtype=int), np.zeros(3, dtype=int), cutoffs=(1,))


def test_pass_values_by_hand():
    values = pass_values(np.array([0, 1, 5]), answers=5, cutoffs=(1, 2))
    assert values["pass@1"].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert values["pass@2"].tolist() == pytest.approx([0.0, 0.4, 1.0])


def test_ids_become_numbers_and_unknown_ones_no_item():
    matrix = numbered([["b", "a", "c"], ["x"], []], {"a": 0, "b": 1, "c": 2}, k=2)
    assert matrix.tolist() == [[1, 0], [NO_ITEM, NO_ITEM], [NO_ITEM, NO_ITEM]]
