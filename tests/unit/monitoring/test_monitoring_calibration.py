"""Thresholds: where they come from, what they promise, and what they are held against."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from gream.errors import ArtifactError, ConfigError
from gream.monitoring.calibration import Calibration, CalibrationSettings, MonitorThreshold, _kept_share, calibrate
from gream.monitoring.monitors import MONITORS, jensen_shannon
from gream.monitoring.user_means import Layout, UserMeans

pytestmark = pytest.mark.unit

NAMES = [monitor.name for monitor in MONITORS]
BUCKETS = {"history_length": 4, "category": 3}
SETTINGS = CalibrationSettings(replicates=1_000, min_windows=4)


@pytest.fixture
def layout():
    """Two distributions with real buckets, the others with one."""
    return Layout(
        {
            monitor.name: tuple(map(str, range(BUCKETS.get(monitor.name, 1)))) if monitor.buckets else ("",)
            for monitor in MONITORS
        }
    )


@pytest.fixture
def window(layout):
    """A window of users: `history_length` and `category` at random, `hit_rate` 0 or 1; nothing else was seen."""

    def window(seed, users=200, hit_rate=0.3, shares=(0.4, 0.3, 0.3)):
        random = np.random.default_rng(seed)
        values = np.full((users, layout.width), np.nan, dtype=np.float32)
        columns = dict(zip(layout.buckets, layout.columns, strict=True))
        values[:, columns["history_length"]] = np.eye(4)[random.integers(4, size=users)]
        values[:, columns["category"]] = np.eye(3)[random.choice(3, size=users, p=shares)]
        values[:, columns["hit_rate"]] = random.random((users, 1)) < hit_rate
        names = np.sort(random.choice(10_000, users, replace=False)).astype(str)
        return UserMeans(layout, np.sort(names), values)

    return window


@pytest.fixture
def alike(layout):
    """A window of the same 64 users every time, all of whom have the same share in some monitors."""

    def alike(share, *monitors):
        columns = dict(zip(layout.buckets, layout.columns, strict=True))
        values = np.full((64, layout.width), np.nan, dtype=np.float32)
        for monitor in monitors:
            values[:, columns[monitor]] = share
        return UserMeans(layout, np.char.mod("u%02d", np.arange(64)), values)

    return alike


def statistic(monitor, layout, calibration, means):
    columns = dict(zip(layout.buckets, layout.columns, strict=True))[monitor]
    reference = np.array(calibration.monitors[monitor].reference)
    return float(MONITORS[NAMES.index(monitor)].statistic(reference, np.nanmean(means.values[:, columns], axis=0)))


def test_jensen_shannon_by_hand():
    # Half of the mass moved: 1 - (3/4 log2(4/3) ... ) worked out with natural logarithms.
    p, q = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    middle = np.array([0.75, 0.25])
    by_hand = (1.0 * np.log(1 / 0.75) + 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)) / 2 / np.log(2)
    assert middle.sum() == 1
    assert jensen_shannon(p, q) == pytest.approx(np.sqrt(by_hand))
    assert jensen_shannon(p, q) == jensen_shannon(q, p)
    assert jensen_shannon(p, p) == 0.0
    assert np.isnan(jensen_shannon(p, np.array([np.nan, np.nan])))


SHARES = {
    "unknown_items": ("both", 0.01),
    "cold_users": ("both", 0.02),
    "list_overlap": ("both", 0.02),
    "novelty": ("both", 0.01),
    "popularity_bias": ("both", 0.02),
    "list_probability": ("both", 0.01),
    "list_entropy": ("both", 0.01),
    "hit_rate": ("down", 0.01),
    "ndcg": ("down", 0.01),
    "click_rate": ("down", 0.01),
    "unmatched_feedback": ("up", 0.05),
    "late_feedback": ("up", 0.05),
    "new_item_demand": ("up", 0.01),
    "latency": ("up", 0.03),
    "degraded": ("up", 0.01),
}


@pytest.mark.parametrize(("name", "direction"), [(name, direction) for name, (direction, _) in SHARES.items()])
def test_a_share_counts_in_the_direction_that_is_bad(name, direction):
    lower, higher = np.array([0.2]), np.array([0.5])
    rise, fall = {"up": (0.3, -0.3), "down": (-0.3, 0.3), "both": (0.3, 0.3)}[direction]
    monitor = MONITORS[NAMES.index(name)]
    assert monitor.statistic(lower, higher) == pytest.approx(rise)
    assert monitor.statistic(higher, lower) == pytest.approx(fall)


def test_what_never_differs_alarms_from_what_matters_on(alike):
    calibration = calibrate([alike(0.5, *NAMES)] * 4, SETTINGS, "champion")
    thresholds = {name: monitor.threshold for name, monitor in calibration.monitors.items()}
    distributions = ("history_length", "history_age", "category", "last_level1", "shown_level1")
    assert thresholds == dict.fromkeys(distributions, 0.03) | {name: matters for name, (_, matters) in SHARES.items()}


def test_what_the_reference_knows_is_calibrated_and_nothing_else(layout, window):
    calibration = calibrate([window(seed) for seed in range(4)], SETTINGS, "champion")
    assert set(calibration.monitors) == {"history_length", "category", "hit_rate"}
    assert calibration.monitors["hit_rate"].users == 200
    assert calibration.monitors["hit_rate"].reference[0] == pytest.approx(0.3, abs=0.05)
    assert sum(calibration.monitors["category"].reference) == pytest.approx(1.0)
    assert 0.005 < calibration.simulated_rate <= 0.01


def test_a_calibration_is_kept(window, tmp_path):
    calibration = calibrate([window(seed) for seed in range(4)], SETTINGS, "champion")
    place = str(tmp_path / "deep" / "calibration.json")
    assert Calibration.load(place) is None
    calibration.save(place)
    calibration.save(place)
    assert Calibration.load(place) == calibration
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is not a calibration of the monitors: Field required"):
        Calibration.load(str(tmp_path / "calibration.json"))


def test_a_threshold_is_about_the_quantile_that_theory_has(layout, window):
    """One monitor, one window, no persistence: the normal quantile of the difference of two means."""
    settings = CalibrationSettings(
        false_alarm_rate=0.05, period_windows=1, needed=1, of=1, replicates=4_000, min_windows=8, min_users=60
    )
    windows = [window(seed, users=400) for seed in range(8)]
    for one in windows:
        hit_rate = dict(zip(layout.buckets, layout.columns, strict=True))["hit_rate"]
        one.values[:, : hit_rate.start] = np.nan
    calibration = calibrate(windows, settings, "champion")
    error = np.sqrt(0.3 * 0.7 * (1 / 400 + 1 / 3_200))
    assert calibration.monitors["hit_rate"].threshold == pytest.approx(1.645 * error, rel=0.2)
    assert calibration.level == pytest.approx(0.05, abs=0.005)


def test_windows_that_differ_by_themselves_raise_the_threshold(layout, window):
    steady = calibrate([window(seed) for seed in range(8)], SETTINGS, "champion")
    rates = (0.2, 0.4, 0.2, 0.4, 0.2, 0.4, 0.2, 0.4)
    restless = calibrate([window(seed, hit_rate=rate) for seed, rate in enumerate(rates)], SETTINGS, "champion")
    assert restless.monitors["hit_rate"].threshold > 1.5 * steady.monitors["hit_rate"].threshold
    assert statistic("hit_rate", layout, restless, window(99, hit_rate=0.2)) < restless.monitors["hit_rate"].threshold


@pytest.mark.parametrize(
    ("chance", "kept"),
    [
        (0.0, math.sqrt(3)),  # Widened as for three windows where two were seen.
        (0.125, 1.5),  # Half of the deviation is a quarter of its variance: sqrt(3/4 * 3).
        (0.25, 0.0),
        (0.5, 0.0),
    ],
)
def test_what_drawn_users_explain_of_two_windows_is_taken_out(chance, kept):
    """The windows are 0.25 above and below the reference; draws move them by `chance`, each the other way."""
    draws = np.array([[chance, -chance], [-chance, chance]])[:, :, None]
    deviation = np.array([[0.25], [-0.25]])
    assert _kept_share(0.5 + deviation + draws, deviation) == pytest.approx(kept)


def test_a_threshold_is_for_one_window_more_than_were_seen(alike):
    """All users are alike, so that nothing is chance: 1/8 below the mean in one window of two is sqrt(3) times that."""
    settings = CalibrationSettings(
        false_alarm_rate=0.1, period_windows=1, needed=1, of=1, replicates=100, min_windows=2
    )
    calibration = calibrate([alike(0.25, "hit_rate"), alike(0.5, "hit_rate")], settings, "champion")
    assert calibration.monitors["hit_rate"].threshold == pytest.approx(math.sqrt(3) / 8)


@pytest.mark.parametrize(("rate", "level"), [(0.4, 0.5), (0.6, 0.75), (0.9, 1.0)])
def test_the_first_window_of_a_period_is_judged_with_those_before_it(alike, rate, level):
    """The chances of the four windows are 1/4, 2/4, 3/4 and 1, and a pair of neighbours alarms at the larger of two.

    A period of two windows has two such pairs, beginning anywhere: it alarms at 2/4, 3/4, 1 or 2/4.
    """
    settings = CalibrationSettings(
        false_alarm_rate=rate, period_windows=2, needed=2, of=2, replicates=1_000, min_windows=4
    )
    windows = [alike(share, "hit_rate") for share in (0.25, 0.5, 0.75, 1.0)]
    assert calibrate(windows, settings, "champion").level == level


def test_what_users_have_in_common_over_time_counts(layout):
    """The same 60 users in every window, each always or never lucky, are 60 observations, not 60 a window."""
    columns = dict(zip(layout.buckets, layout.columns, strict=True))["hit_rate"]
    random = np.random.default_rng(0)

    def window(lucky, users):
        values = np.full((60, layout.width), np.nan, dtype=np.float32)
        values[:, columns] = lucky[:, None]
        return UserMeans(layout, users, values)

    same, faithful = np.char.mod("u%03d", np.arange(60)), random.random(60) < 0.4
    settings = CalibrationSettings(replicates=1_000, min_windows=8)
    loyal = calibrate([window(faithful, same)] * 8, settings, "champion")
    fresh = [window(random.random(60) < 0.4, np.char.mod(f"w{n}-%03d", np.arange(60))) for n in range(8)]
    assert (
        loyal.monitors["hit_rate"].threshold
        > 1.2 * calibrate(fresh, settings, "champion").monitors["hit_rate"].threshold
    )


def test_a_difference_that_does_not_matter_never_alarms(layout, window):
    calibration = calibrate([window(seed, users=9_000) for seed in range(4)], SETTINGS, "champion")
    assert calibration.monitors["category"].threshold == 0.03
    assert statistic("category", layout, calibration, window(9, 9_000, shares=(0.41, 0.3, 0.29))) < 0.03


def test_persistence_lowers_the_threshold(layout, window):
    windows = [window(seed) for seed in range(8)]
    once, twice = (calibrate(windows, SETTINGS.model_copy(update={"needed": needed}), "champion") for needed in (1, 2))
    assert twice.level > 3 * once.level
    assert twice.monitors["hit_rate"].threshold < once.monitors["hit_rate"].threshold


def test_a_small_window_in_the_reference_does_not_widen_the_threshold(window):
    even = calibrate([window(seed, users=330) for seed in range(8)], SETTINGS, "champion")
    sizes = (420, 420, 60, 420, 420, 60, 420, 420)
    uneven = calibrate([window(seed, users=users) for seed, users in enumerate(sizes)], SETTINGS, "champion")
    assert uneven.monitors["hit_rate"].users == even.monitors["hit_rate"].users == 330
    for name, monitor in even.monitors.items():
        assert uneven.monitors[name].threshold < 1.2 * monitor.threshold


def test_a_window_without_labels_alarms_nobody(window):
    windows = [window(seed) for seed in range(8)]
    once = SETTINGS.model_copy(update={"needed": 1})
    whole = calibrate(windows, once, "champion")
    hit_rate = dict(zip(windows[3].layout.buckets, windows[3].layout.columns, strict=True))["hit_rate"]
    windows[3].values[:, hit_rate] = np.nan
    gap = calibrate(windows, once, "champion")
    assert gap.monitors["hit_rate"].users == 175
    assert gap.monitors["hit_rate"].threshold == pytest.approx(whole.monitors["hit_rate"].threshold, rel=0.25)


def test_small_windows_have_wider_thresholds():
    threshold = MonitorThreshold(threshold=0.1, users=400, reference=(0.3,))
    assert threshold.at(100) == pytest.approx(0.2)
    assert threshold.at(400) == threshold.at(4_000) == 0.1


def test_the_same_seed_gives_the_same_thresholds(layout, window):
    windows = [window(seed) for seed in range(4)]
    assert calibrate(windows, SETTINGS, "champion") == calibrate(windows, SETTINGS, "champion")
    assert calibrate(windows, SETTINGS, "champion", seed=1) != calibrate(windows, SETTINGS, "champion")


def test_a_reference_that_is_too_small_is_refused(layout, window):
    with pytest.raises(ConfigError, match="needs 4 windows or more; got 3"):
        calibrate([window(seed) for seed in range(3)], SETTINGS, "champion")
    other = UserMeans(Layout({"hit_rate": ("",)}), np.array(["u"]), np.zeros((1, 1), dtype=np.float32))
    with pytest.raises(ConfigError, match="must be of one policy's items"):
        calibrate([*(window(seed) for seed in range(3)), other], SETTINGS, "champion")
    with pytest.raises(ConfigError, match="has 40 users in a window; at least 50 are needed"):
        calibrate([window(seed, users=40) for seed in range(4)], SETTINGS, "champion")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"needed": 4}, "4 of 3 windows is impossible"),
        ({"replicates": 999}, "replicates must be at least 1000 for a rate of 0.01"),
        ({"false_alarm_rate": 0.0}, "greater than 0"),
    ],
)
def test_impossible_settings_are_refused(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        CalibrationSettings(**changes)
