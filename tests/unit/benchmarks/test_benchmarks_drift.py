"""The drift benchmark: the same users live through a week with each shift and without."""

import numpy as np
import pytest

from benchmarks.drift import week
from benchmarks.simulated_traffic import Shift, Shop

pytestmark = pytest.mark.unit


def test_a_shift_meets_the_users_of_the_quiet_week_whatever_was_lived_through_before():
    shop = Shop(np.random.default_rng(0), users=60)
    quiet, slow, again = week(shop), week(shop, Shift(slower=2.0)), week(shop)
    for day, slow_day, same_day in zip(quiet, slow, again, strict=True):
        assert same_day.requests.equals(day.requests)
        assert slow_day.requests.drop("engine_ms", "total_ms").equals(day.requests.drop("engine_ms", "total_ms"))
        assert slow_day.requests["engine_ms"].to_list() == pytest.approx((2 * day.requests["engine_ms"]).to_list())
