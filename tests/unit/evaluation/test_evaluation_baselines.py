import tracemalloc

import numpy as np
import pytest

from gream.config import EvaluationConfig
from gream.data.split import Split
from gream.data.transitions import BACKWARD, RECENCY, transition_counts
from gream.evaluation import baselines
from gream.evaluation.baseline_evaluation import evaluate_baselines
from gream.evaluation.baselines import ItemKnn, Popularity, Transitions
from gream.evaluation.cases import cases_for_test

pytestmark = pytest.mark.unit


def test_popularity_counts_training_events():
    scores = Popularity([[0, 1, 1], [1, 2]], n_items=4).score([[], [3]])
    assert scores.tolist() == [[1, 3, 1, 0]] * 2


def test_item_knn_sums_cosines():
    # Item 0 has users {0, 1}, item 1 {0}, item 2 {0, 1, 2}, item 3 {2}.
    scorer = ItemKnn([[0, 1, 2], [2, 0], [3, 2]], n_items=4)
    (alone,) = scorer.score([[0]])
    assert alone == pytest.approx([0, 1 / np.sqrt(2), 2 / np.sqrt(6), 0], abs=1e-5)
    (both,) = scorer.score([[0, 3]])
    assert both == pytest.approx([0, 1 / np.sqrt(2), 2 / np.sqrt(6) + 1 / np.sqrt(3), 0], abs=1e-5)


def test_item_knn_counts_a_repeated_item_once():
    train = [[0, 1, 1, 1], [1, 2], [0, 2]]
    assert ItemKnn(train, 3).score([[0, 0]]) == pytest.approx(
        ItemKnn([[0, 1], [1, 2], [0, 2]], 3).score([[0]]), abs=1e-5
    )


def test_item_knn_keeps_the_nearest_neighbours():
    (scores,) = ItemKnn([[0, 1, 2], [2, 0], [3, 2]], n_items=4, neighbours=1).score([[0]])
    assert scores[2] == pytest.approx(2 / np.sqrt(6), abs=1e-5)
    assert scores[[1, 3]] == pytest.approx([0, 0], abs=1e-5)


def test_item_knn_is_the_same_in_blocks_of_one_item(monkeypatch):
    # Of item 0's neighbours, 1 and 2 are as near as each other, and the first is kept; 3 is nearest to 4, 4 to 3.
    train = [[0, 1], [0, 2], [3, 4], [4, 3, 0], [5]]
    whole = ItemKnn(train, n_items=7, neighbours=1)
    assert whole.similarity.toarray() == pytest.approx(
        np.array(
            [
                [0, 1 / np.sqrt(3), 0, 0, 0, 0, 0],
                [1 / np.sqrt(3), 0, 0, 0, 0, 0, 0],
                [1 / np.sqrt(3), 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 1, 0, 0],
                [0, 0, 0, 1, 0, 0, 0],
                [0] * 7,
                [0] * 7,
            ]
        )
    )
    monkeypatch.setattr(baselines, "ENTRIES", 1)
    parted = ItemKnn(train, n_items=7, neighbours=1)
    assert (parted.similarity != whole.similarity).nnz == 0
    assert parted.tie_breaker.tolist() == whole.tie_breaker.tolist()


def test_item_knn_never_holds_all_similarities_of_a_long_history(monkeypatch):
    """One user's 900 items are 810,000 pairs of 12 bytes, of which a block is held and then a neighbour each."""
    monkeypatch.setattr(baselines, "ENTRIES", 20_000)
    tracemalloc.start()
    scorer = ItemKnn([list(range(900))], n_items=900, neighbours=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scorer.similarity.nnz == 900
    assert peak < 2_000_000


def test_item_knn_counts_the_latest_items_of_an_account_that_takes_everything(monkeypatch):
    monkeypatch.setattr(baselines, "LATEST", 2)
    (scores,) = ItemKnn([[0, 1, 2, 1]], n_items=3).score([[1]])
    assert scores == pytest.approx([0, 0, 1], abs=1e-5)


def test_transitions_weigh_distance_and_direction():
    scorer = Transitions([[0, 1, 2]], n_items=4)
    assert scorer.score([[0]])[0] == pytest.approx([0, 1, 0.5, 0], abs=1e-5)
    assert scorer.score([[1]])[0] == pytest.approx([BACKWARD, 0, 1, 0], abs=1e-5)
    assert scorer.score([[2]])[0] == pytest.approx([BACKWARD / 2, BACKWARD, 0, 0], abs=1e-5)


def test_transitions_let_the_latest_item_count_most():
    scorer = Transitions([[0, 1], [2, 3]], n_items=4)
    (scores,) = scorer.score([[0, 2]])
    assert scores[3] == pytest.approx(1.0, abs=1e-5)
    assert scores[1] == pytest.approx(RECENCY, abs=1e-5)


def test_transitions_reach_five_steps_and_no_further():
    (scores,) = Transitions([[0, 1, 2, 3, 4, 5, 6]], n_items=7).score([[0]])
    assert scores[5] == pytest.approx(1 / 5, abs=1e-5)
    assert scores[6] < 1e-5


def test_transitions_add_up_over_users():
    (scores,) = Transitions([[0, 1], [0, 1], [0, 2]], n_items=3).score([[0]])
    assert scores[[1, 2]] == pytest.approx([2, 1], abs=1e-5)


def test_a_pair_counts_as_much_as_its_later_event():
    counts = transition_counts([[0, 1, 2], [0, 1]], n_items=3, weights=[np.array([1, 3, 6]), np.array([5, 1])])
    assert counts.toarray() == pytest.approx(
        np.array([[0, 3 + 1, 6 / 2], [4 * BACKWARD, 0, 6], [3 * BACKWARD, 6 * BACKWARD, 0]])
    )


@pytest.mark.parametrize("baseline", [ItemKnn, Transitions])
def test_items_out_of_reach_come_by_popularity_behind_the_others(baseline):
    train = [[0, 1], [2, 3], [3, 4], [3, 2], [5]]
    (scores,) = baseline(train, n_items=6).score([[0]])
    order = np.argsort(-scores, kind="stable").tolist()
    assert order[0] == 1
    assert order.index(3) < order.index(2) < order.index(5)
    (unknown,) = baseline(train, n_items=6).score([[]])
    assert unknown.argmax() == 3


@pytest.mark.parametrize("baseline", [Popularity, ItemKnn, Transitions])
def test_every_baseline_stands_sequences_without_pairs(baseline):
    scores = baseline([[0], [], [1]], n_items=2).score([[0], [1], []])
    assert scores.shape == (3, 2)
    assert np.isfinite(scores).all()


def test_sasrec_is_stopped_by_what_validates_and_learns_what_trains(monkeypatch):
    seen = []

    def train(sequences, validation, n_items, *_):
        seen.append((sequences, validation))
        return Popularity(sequences, n_items)

    monkeypatch.setattr("gream.evaluation.baseline_evaluation.train_sasrec", train)
    split = Split(
        train={"u": ["a", "b"], "v": ["b"], "w": ["c"]}, validation={"u": "c", "v": "d"}, test={"u": "d", "v": "a"}
    )
    found = evaluate_baselines(
        split, ["a", "b", "c", "d"], cases_for_test(split, 0, 0), True, EvaluationConfig(), seed=0
    )
    assert seen == [([[0, 1], [1], [2]], [([0, 1], 2), ([1], 3)])]
    assert found["sasrec"].keys() == found["popularity"].keys()
