import numpy as np
import pytest

from gream.config import EvaluationConfig
from gream.data.split import Split
from gream.evaluation.baseline_evaluation import evaluate_baselines
from gream.evaluation.cases import Cases, cases_for_test, cases_for_validation

pytestmark = pytest.mark.unit

ITEMS = [f"i{number}" for number in range(6)]


@pytest.fixture
def split():
    return Split(
        train={"u": ["i0", "i1"], "v": ["i1", "i2"], "w": ["i1", "i2"], "short": ["i1"]},
        validation={"u": "i2", "v": "i3", "w": "i3"},
        test={"u": "i3", "v": "i4", "w": "i2"},
    )


def test_test_histories_hold_the_validation_item_and_validation_histories_do_not(split):
    cases = cases_for_test(split, max_users=0, seed=0)
    assert (cases.users, cases.targets) == (["u", "v", "w"], ["i3", "i4", "i2"])
    assert cases.histories[0] == ["i0", "i1", "i2"]
    validation = cases_for_validation(split, max_users=0, seed=0)
    assert (validation.histories[0], validation.targets[0]) == (["i0", "i1"], "i2")


def test_a_sample_is_seeded_and_keeps_the_order(split):
    sample = cases_for_test(split, max_users=2, seed=3)
    assert sample == cases_for_test(split, max_users=2, seed=3)
    assert len(sample.users) == 2
    assert sample.users == sorted(sample.users)
    assert {tuple(cases_for_test(split, 2, seed).users) for seed in range(20)} == {("u", "v"), ("u", "w"), ("v", "w")}


def test_the_protocol_decides_what_must_not_come_back(split):
    cases = cases_for_test(split, max_users=0, seed=0)
    assert cases.seen(exclude_seen=True) == cases.histories
    assert cases.seen(exclude_seen=False) is None


def test_baselines_are_counted_on_the_training_part_alone(split):
    """Popularity on training events: i1 four times, i2 twice, i0 once. Counting held-out events would lift i3 to 3."""
    cases = cases_for_test(split, max_users=0, seed=0)
    values = evaluate_baselines(
        split, ITEMS, cases, exclude_seen=True, config=EvaluationConfig(sasrec_epochs=0), seed=0
    )
    assert set(values) == {"popularity", "item_knn", "transitions"}
    # u has seen i0, i1, i2: the rest ties at zero and i3 is its first. v: i0 leads, then i4. w's i2 is seen: a miss.
    assert values["popularity"]["ndcg@10"] == pytest.approx([1.0, 1 / np.log2(3), 0.0])
    kept = evaluate_baselines(split, ITEMS, cases, exclude_seen=False, config=EvaluationConfig(sasrec_epochs=0), seed=0)
    assert kept["popularity"]["ndcg@10"][2] == pytest.approx(1 / np.log2(3))


def test_sasrec_joins_where_it_has_epochs(split):
    cases = cases_for_test(split, max_users=0, seed=0)
    values = evaluate_baselines(
        split, ITEMS, cases, exclude_seen=False, config=EvaluationConfig(sasrec_epochs=1), seed=0
    )
    assert set(values["sasrec"]) == {"recall@5", "recall@10", "ndcg@5", "ndcg@10"}
    assert values["sasrec"]["ndcg@10"].shape == (3,)


def test_sample_keeps_rows_and_cases_together():
    cases = Cases([f"u{n}" for n in range(50)], [[f"h{n}"] for n in range(50)], [f"t{n}" for n in range(50)])
    rows, chosen = cases.sample(7, seed=1)
    assert chosen == Cases([f"u{n}" for n in rows], [[f"h{n}"] for n in rows], [f"t{n}" for n in rows])
    assert len(set(rows.tolist())) == 7
    assert rows.tolist() == sorted(rows.tolist()) != list(range(7))
    assert cases.sample(0, seed=1)[1] == cases.sample(50, seed=1)[1] == cases
