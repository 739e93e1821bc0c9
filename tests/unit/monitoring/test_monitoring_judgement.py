"""One window judged: statistics, persistence over the windows before, and what is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gream.errors import ConfigError
from gream.monitoring.calibration import Calibration, CalibrationSettings, MonitorThreshold
from gream.monitoring.evidence import Skipped, Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.judgement import judge
from gream.monitoring.monitors import MONITORS
from gream.monitoring.request_log import RequestLog
from gream.monitoring.user_means import Layout, UserMeans, user_means

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
HOUR = 3_600
START = 20_000 * 86_400


@pytest.fixture
def layout(served):
    return Layout.of(served)


@pytest.fixture
def calibration(layout):
    """Two monitors; `degraded` was at 10% in windows of 10 users, and raises when it is more than 15 points higher."""
    thresholds = {
        "degraded": MonitorThreshold(threshold=0.15, users=10, reference=(0.1,)),
        "history_length": MonitorThreshold(threshold=0.3, users=10, reference=(0, 0, 1, 0, 0, 0, 0)),
    }
    return Calibration(
        policy_version="champion",
        settings=CalibrationSettings(needed=2, of=3, min_users=4, min_windows=2),
        buckets=layout.buckets,
        monitors=thresholds,
        level=0.01,
        simulated_rate=0.01,
        seed=0,
    )


@pytest.fixture
def judged(tmp_path, request_row, calibration, served, layout):
    """The report of an hour with so many users, of whom so many got degraded answers."""

    def judged(hour, degraded, users=10, previous=(), version="champion", length=4, inherited=False):
        folder = tmp_path / f"{hour}-{degraded}-{users}-{version}-{length}"
        RequestLog(folder).write(
            request_row(
                f"r{number}",
                user=f"u{number}",
                timestamp=START + hour * HOUR,
                degraded="why" if number < degraded else None,
                policy_version=version,
                history_length=length,
            )
            for number in range(users)
        )
        evidence = read_evidence(folder, Window(START + hour * HOUR, START + (hour + 1) * HOUR), 0, KEY)
        anew = calibration.model_copy(update={"policy_version": version})
        own = calibration.inherited_by(version) if inherited else anew
        return judge(own, evidence, user_means(evidence, served), version, previous)

    return judged


def result(report, name):
    (found,) = [one for one in report.results if one.name == name]
    return found


def test_a_statistic_beside_its_threshold(judged):
    quiet, loud = result(judged(0, 2), "degraded"), result(judged(0, 3), "degraded")
    assert (quiet.reference, quiet.current, quiet.users) == (0.1, pytest.approx(0.2), 10)
    assert (quiet.statistic, quiet.threshold) == (pytest.approx(0.1), 0.15)
    assert (quiet.raised, loud.raised) == (False, True)
    assert loud.statistic == pytest.approx(0.2)


def test_a_distribution(judged):
    assert result(judged(0, 0), "history_length").statistic == pytest.approx(0.0)
    moved = result(judged(0, 0, length=30), "history_length")
    assert (moved.statistic, moved.raised, moved.current) == (pytest.approx(1.0), True, None)


def test_every_monitor_is_reported_also_where_it_is_not_calibrated(judged):
    report = judged(0, 0)
    assert [one.name for one in report.results] == [monitor.name for monitor in MONITORS]
    silent = result(report, "novelty")
    assert (silent.statistic, silent.threshold, silent.users, silent.raised) == (None, None, 10, False)


def test_one_window_raises_and_two_of_three_alarm(judged):
    first = judged(0, 5)
    assert (result(first, "degraded").raised, first.alarms) == (True, ())
    second = judged(1, 5, previous=[first])
    assert second.alarms == ("degraded",)
    pause = judged(1, 0, previous=[first])
    third = judged(2, 5, previous=[pause, first])
    assert third.alarms == ("degraded",)
    fourth = judged(3, 5, previous=[first, pause, judged(2, 0)])
    assert fourth.alarms == ()


def test_an_alarm_ends_with_the_first_quiet_window(judged):
    first, second = judged(0, 5), judged(1, 5)
    assert judged(2, 0, previous=[first, second]).alarms == ()


def test_a_window_that_is_judged_twice_counts_once(judged):
    first = judged(0, 5)
    assert judged(0, 5, previous=[first]).alarms == ()
    assert judged(2, 5, previous=[first, first]).alarms == ("degraded",)
    assert judged(2, 5, previous=[judged(1, 0), judged(1, 0)]).alarms == ()


def test_other_champions_windows_do_not_count(judged):
    assert judged(1, 5, previous=[judged(0, 5, version="older")]).alarms == ()


def test_those_of_a_champion_with_fewer_items_do(judged):
    first, second = judged(0, 5), judged(1, 5, version="more", inherited=True, previous=[judged(0, 5)])
    assert (first.reference_of, second.reference_of, second.alarms) == ("champion", "champion", ("degraded",))


def test_nobody_doing_anything_is_told_apart_from_lists_that_nobody_wants(
    tmp_path, request_row, write_feedback, calibration, served
):
    """Ten users ask; until then the shop had a hit rate."""
    known = calibration.monitors | {"hit_rate": MonitorThreshold(threshold=0.1, users=10, reference=(0.2,))}
    calibration = calibration.model_copy(update={"monitors": known})
    RequestLog(tmp_path).write(request_row(f"r{n}", user=f"u{n}", timestamp=START + HOUR + n) for n in range(10))

    def missing(calibration):
        evidence = read_evidence(tmp_path, Window(START + HOUR, START + 2 * HOUR), 0, KEY)
        report = judge(calibration, evidence, user_means(evidence, served), "champion", [])
        return [(one.kind, one.text) for one in report.missing]

    write_feedback(tmp_path, [("e1", "v", "m0", "click", START, None, START + HOUR - 1)])  # In the window before.
    outage = "No feedback was logged, of 10 users: their events are lost on the way, or their log is."
    assert missing(calibration) == [("no_feedback", outage)]
    never = calibration.model_copy(update={"monitors": {"degraded": known["degraded"]}})
    assert missing(never) == []
    write_feedback(
        tmp_path,
        [("e2", "v", "m0", "impression", START, None, START + HOUR)],
        name="part-0a1b2c3d-000000000002.parquet",
        hour="date=2024-10-04/hour=01",
    )
    assert missing(calibration) == []


def test_small_windows_need_more_and_tiny_ones_say_nothing(judged):
    half = result(judged(0, 2, users=5), "degraded")
    assert half.threshold == pytest.approx(0.15 * np.sqrt(2))
    assert half.statistic == pytest.approx(0.3)
    tiny = judged(0, 2, users=3)
    assert (result(tiny, "degraded").statistic, result(tiny, "degraded").threshold) == (None, 0.15)
    assert [(one.kind, one.text) for one in tiny.missing] == [
        ("few_users", "The window has 3 users; at least 4 are needed.")
    ]


def test_silence(judged):
    report = judged(0, 0, users=0)
    assert [one.kind for one in report.missing] == ["silent"]
    assert (report.requests, report.users) == (0, 0)
    assert {one.statistic for one in report.results} == {None}


def test_serving_that_has_not_followed_the_champion_is_told_from_silence(tmp_path, request_row, calibration, served):
    RequestLog(tmp_path).write(
        request_row(f"r{n}", user=f"u{n}", timestamp=START, policy_version="older") for n in range(10)
    )
    evidence = read_evidence(tmp_path, Window(START, START + HOUR), 0, KEY).of_policy("champion")
    report = judge(calibration, evidence, user_means(evidence, served), "champion", [])
    assert [(one.kind, one.text) for one in report.missing] == [
        ("silent", "10 requests were answered by other policies, none by the champion: serving has not followed it.")
    ]


def unreadable(files, bad):
    """Evidence of nothing but files, some of them unreadable."""
    nothing = read_evidence(Path("/nowhere"), Window(START, START + HOUR), 0, KEY)
    skipped = tuple(Skipped(f"requests/{number}", None, "is damaged") for number in range(bad))
    return replace(nothing, files=files, skipped=skipped)


def test_unreadable_files_prove_nothing(calibration, layout):
    nobody = UserMeans(layout, np.array([], dtype=str), np.empty((0, layout.width), dtype=np.float32))
    few, many = (judge(calibration, unreadable(20, bad), nobody, "champion", []) for bad in (1, 2))
    assert "unreadable" not in {one.kind for one in few.missing}
    assert many.missing[0].text == "10% of the window's 20 files cannot be read (the limit is 5%)."
    assert [one.place for one in many.skipped] == ["requests/0", "requests/1"]


def test_without_a_calibration_nothing_is_judged(trained, layout):
    nobody = UserMeans(layout, np.array([], dtype=str), np.empty((0, layout.width), dtype=np.float32))
    report = judge(trained, unreadable(1, 0), nobody, "champion", [])
    assert report.results == ()
    assert {one.kind for one in report.missing} == {"no_reference", "silent"}


def test_too_few_users_are_told_of_from_the_first_window_on(tmp_path, request_row, trained, served):
    RequestLog(tmp_path).write(request_row(f"r{n}", user=f"u{n}", timestamp=START + n) for n in range(19))
    evidence = read_evidence(tmp_path, Window(START, START + HOUR), 0, KEY)
    report = judge(trained, evidence, user_means(evidence, served), "champion", [])
    assert [(one.kind, one.text) for one in report.missing] == [
        ("no_reference", "The champion's own reference is still being gathered."),
        ("few_users", "The window has 19 users; at least 20 are needed."),
    ]


def test_what_does_not_fit_is_refused(calibration, layout):
    nobody = UserMeans(layout, np.array([], dtype=str), np.empty((0, 3), dtype=np.float32))
    with pytest.raises(ConfigError, match="is that of policy champion, but the window is of newer"):
        judge(calibration, unreadable(1, 0), nobody, "newer", [])
    other = UserMeans(Layout({"hit_rate": ("",)}), np.array([], dtype=str), np.empty((0, 1), dtype=np.float32))
    with pytest.raises(ConfigError, match="other items than those that the calibration was made with"):
        judge(calibration, unreadable(1, 0), other, "champion", [])
