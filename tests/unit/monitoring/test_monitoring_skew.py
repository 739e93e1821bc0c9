"""Traffic beside the training data: hand-worked shares, distances and limits."""

import math

import numpy as np
import polars as pl
import pytest

from gream.monitoring.skew import SkewLimits, TrainedTaste, trained_on
from gream.monitoring.user_means import Layout, UserMeans

pytestmark = pytest.mark.unit


@pytest.fixture
def window(served):
    """A window in which so many users carry each category and no other monitor knows anybody."""

    def window(dramas, comedies, nobody=0):
        layout = Layout.of(served)
        values = np.full((dramas + comedies + nobody, layout.width), np.nan, dtype=np.float32)
        category = dict(zip(layout.buckets, layout.columns, strict=True))["category"]
        values[: dramas + comedies, category] = 0.0
        values[:dramas, category.start] = 1.0
        values[dramas : dramas + comedies, category.start + 1] = 1.0
        return UserMeans(layout, np.array([f"u{n:04}" for n in range(len(values))]), values)

    return window


def taste_of(served, *rows, window=50, until=None):
    """Rows are `(user, item, time)`; even items are dramas, odd ones comedies, m4 is both and m5 is nothing."""
    categories = [["Drama"], ["Comedy"], ["Drama"], ["Comedy"], ["Drama", "Comedy"], []]
    items = served.items.select("item_id", categories=pl.Series(categories))
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return TrainedTaste.of(trained_on(events, until), items, served, window, SkewLimits(), min_users=20)


def test_each_user_counts_once_as_at_the_end_of_training(served):
    taste = taste_of(served, ("a", "m2", 1), ("b", "m0", 2), ("b", "m3", 3), ("b", "m1", 4), ("c", "m5", 5))
    assert taste.users == 3
    # Buckets are code 0, code 1, other, none: a ended with code 1, b with code 0, c with the rare code 2.
    assert taste.shares["last_level1"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])
    # Drama, Comedy, other, none: a is for drama, b for comedy (two of three), c's item says nothing.
    assert taste.shares["category"].tolist() == pytest.approx([1 / 3, 1 / 3, 0.0, 1 / 3])


def test_of_equal_categories_the_one_met_first_counts_as_in_serving(served):
    assert taste_of(served, ("a", "m3", 1), ("a", "m0", 2)).shares["category"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert taste_of(served, ("a", "m4", 1), ("a", "m5", 2)).shares["category"].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_what_came_after_training_and_before_the_history_does_not_count(served):
    rows = [("a", "m1", 1), ("a", "m3", 2), ("a", "m0", 3), ("a", "m1", 9), ("b", "m1", 9)]
    taste = taste_of(served, *rows, window=1, until=3)
    assert taste.users == 1
    assert taste.shares["category"].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_of_many_users_the_latest_are_looked_at(served, monkeypatch):
    monkeypatch.setattr("gream.monitoring.skew.MOST_USERS", 2)
    taste = taste_of(served, ("a", "m0", 1), ("b", "m1", 2), ("c", "m0", 0), ("c", "m3", 3), ("c", "m1", 4))
    assert taste.users == 2
    assert taste.shares["category"].tolist() == [0.0, 1.0, 0.0, 0.0]  # b and c, for comedy; a, for drama, left first.


def test_the_distance_is_the_share_of_users_who_would_have_to_be_others(served, window):
    taste = taste_of(served, *[(f"u{n}", "m0" if n < 6 else "m1", n) for n in range(10)])
    (result,) = taste.skew(window(dramas=20, comedies=80, nobody=5))  # 0.6 and 0.4 in training, 0.2 and 0.8 now.
    assert (result.name, result.value) == ("category", pytest.approx(0.4))
    n = 1 / (1 / 100 + 1 / 10)
    assert result.limit == pytest.approx(0.3 + math.sqrt(4 / n) / 2 + math.sqrt(math.log(1_000) / (2 * n)))
    assert not result.alarm


def test_many_users_of_another_taste_alarm_and_of_the_same_do_not(served, window):
    taste = taste_of(served, *[(f"u{n}", "m0" if n % 2 else "m1", n) for n in range(2_000)])
    other, same = taste.skew(window(2_000, 0)), taste.skew(window(1_000, 1_000))
    assert other[0].value == pytest.approx(0.5)
    assert other[0].alarm
    assert same[0].value == pytest.approx(0.0)
    assert taste.skew(window(0, 0, nobody=3)) == ()


def test_chance_alone_hardly_ever_passes_the_limit():
    """1,000 windows of 60 users beside 200 of the training data, all of one taste over 30 buckets; none should."""
    random, share = np.random.default_rng(0), np.full(30, 1 / 30)
    windows, training = random.multinomial(60, share, 1_000) / 60, random.multinomial(200, share, 1_000) / 200
    limits = SkewLimits(users=1e-9)
    assert (np.abs(windows - training).sum(axis=1) / 2 < limits.at(60, 200, 30)).all()
