import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gream.errors import ConfigError
from gream.evaluation import metrics
from gream.evaluation.metrics import bootstrap_interval, ndcg_at_k, paired_bootstrap, pass_at_k, recall_at_k

pytestmark = pytest.mark.unit


def test_recall_looks_at_the_first_k_only():
    ranked = ["a", "b", "c", "d"]
    assert [recall_at_k(ranked, "c", k) for k in (1, 2, 3, 4, 9)] == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert recall_at_k(ranked, "z", 4) == 0.0
    assert recall_at_k([], "a", 5) == 0.0


def test_ndcg_by_hand():
    ranked = ["a", "b", "c", "d"]
    assert ndcg_at_k(ranked, "a", 4) == 1.0
    assert ndcg_at_k(ranked, "b", 4) == pytest.approx(0.6309297535714575)  # 1 / log2(3)
    assert ndcg_at_k(ranked, "c", 4) == 0.5  # 1 / log2(4)
    assert ndcg_at_k(ranked, "d", 3) == 0.0


@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k])
def test_k_below_one_is_refused(metric):
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        metric(["a"], "a", 0)


def test_pass_at_k_by_hand():
    assert pass_at_k(10, 0, 4) == 0.0
    assert pass_at_k(10, 10, 1) == 1.0
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(5, 2, 2) == pytest.approx(0.7)  # 1 - C(3,2)/C(5,2) = 1 - 3/10
    assert pass_at_k(10, 7, 4) == 1.0  # only three wrong answers: four always hold a right one
    assert pass_at_k(10, 1, 10) == 1.0


@given(st.integers(1, 12), st.data())
def test_pass_at_k_is_the_mean_over_all_subsets(n, data):
    from itertools import combinations

    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    answers = [True] * c + [False] * (n - c)
    subsets = list(combinations(answers, k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ConfigError, match=f"got n={n}, c={c}, k={k}"):
        pass_at_k(n, c, k)


def test_the_interval_of_a_share_is_the_binomial_one():
    values = np.repeat([1.0, 0.0], [300, 700])
    interval = bootstrap_interval(values, resamples=20_000)
    error = math.sqrt(0.3 * 0.7 / 1000)
    assert interval.value == 0.3
    assert interval.low == pytest.approx(0.3 - 1.96 * error, abs=0.0015)
    assert interval.high == pytest.approx(0.3 + 1.96 * error, abs=0.0015)


def test_the_interval_of_many_distinct_values_is_the_normal_one():
    values = np.random.default_rng(3).normal(size=2000)
    interval = bootstrap_interval(values, confidence=0.9, resamples=4000)
    error = values.std() / math.sqrt(2000)
    assert interval.low == pytest.approx(values.mean() - 1.645 * error, abs=0.003)
    assert interval.high == pytest.approx(values.mean() + 1.645 * error, abs=0.003)


def test_resampling_in_blocks_changes_nothing(monkeypatch):
    values = np.random.default_rng(0).integers(0, 7, size=200)
    whole = bootstrap_interval(values, resamples=500)
    monkeypatch.setattr(metrics, "BLOCK_DRAWS", 60)
    assert bootstrap_interval(values, resamples=500) == whole


def test_the_seed_decides_the_interval():
    values = np.arange(50.0)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_intervals_lie_within_the_values(values):
    interval = bootstrap_interval(values, resamples=50)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_pairing_sees_what_separate_intervals_cannot():
    """b is a, a little worse for some users: a clear difference although both spread widely."""
    random = np.random.default_rng(0)
    a = random.random(400)
    b = a - 0.02 * (random.random(400) < 0.5)
    difference = paired_bootstrap(a, b)
    assert difference.value == pytest.approx((a - b).mean())
    assert difference.low > 0
    assert bootstrap_interval(a).low < bootstrap_interval(b).high


def test_pairing_needs_the_same_users():
    with pytest.raises(ConfigError, match=r"\(3,\) and \(2,\)"):
        paired_bootstrap([1, 0, 1], [1, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": []}, "non-empty"),
        ({"values": [0.0, float("nan")]}, "finite"),
        ({"values": [1.0], "confidence": 1.0}, "0 < confidence < 1"),
        ({"values": [1.0], "resamples": 0}, "resamples >= 1"),
    ],
)
def test_a_bootstrap_says_what_it_needs(arguments, message):
    with pytest.raises(ConfigError, match=message):
        bootstrap_interval(**arguments)
