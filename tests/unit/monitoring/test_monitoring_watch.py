"""All of monitoring on written evidence: a reference, quiet hours, a shift, a decision; and the same after a kill."""

import pytest

from gream.errors import ConfigError
from gream.monitoring.calibration import CalibrationSettings, calibrate
from gream.monitoring.decision import DecisionSettings
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.evidence import Window
from gream.monitoring.request_log import RequestLog
from gream.monitoring.served_items import ServedItems
from gream.monitoring.watch import Watch

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
HOUR = 3_600
START = 20_000 * 86_400
USERS = 60
SETTINGS = CalibrationSettings(replicates=1_000, min_windows=4, min_users=20)
LOOK = DecisionSettings(drift_windows=0)


@pytest.fixture
def watch(tmp_path, served):
    return Watch(tmp_path / "evidence", KEY, 0, "champion", served)


@pytest.fixture
def serve(watch, request_row):
    """One request of each user in an hour; every so-manieth of them watches comedies, the others dramas."""

    def serve(hour, comedies=4, users=USERS, version="champion"):
        RequestLog(watch.evidence).write(
            request_row(
                f"{hour}-{version}-{number}",
                user=f"u{number:02}",
                timestamp=START + hour * HOUR + number,
                top_category="Comedy" if number % comedies == hour % comedies else "Drama",
                policy_version=version,
            )
            for number in range(users)
        )

    return serve


@pytest.fixture
def look(watch, tmp_path):
    log = DecisionLog(str(tmp_path / "decisions.jsonl"))

    def look(hour, calibration):
        window = Window(START + hour * HOUR, START + (hour + 1) * HOUR)
        return watch.look(window, calibration, (), log, window.end, LOOK).decision

    return look


def test_from_evidence_to_decisions(watch, serve, look, trained):
    assert look(0, trained).action == "page"  # Nothing was written: the log is lost, or nobody comes.
    for hour in range(1, 6):
        serve(hour)
    assert watch.reference(START, START + 4 * HOUR, HOUR, SETTINGS) is None
    reference = watch.reference(START, START + 9 * HOUR, HOUR, SETTINGS)
    assert len(reference) == 4  # The empty first hour was not healthy.
    calibration = calibrate(reference, SETTINGS, "champion")
    assert look(5, calibration).action == "nothing"
    for hour in (6, 7):
        serve(hour, comedies=1)
    first, second = look(6, calibration), look(7, calibration)
    assert (first.action, second.action) == ("nothing", "warn")
    assert [one.name for one in first.report.results if one.raised] == ["category"]
    assert second.reasons[0].startswith("category alarms: ")
    assert look(7, calibration) == second


def test_while_the_reference_is_gathered_nothing_is_decided(serve, look, trained):
    serve(0)
    decision = look(0, trained)
    assert (decision.action, decision.reasons) == (
        "nothing",
        ("The champion's own reference is still being gathered.",),
    )
    assert [one.name for one in decision.report.skew] == ["category", "last_level1"]


def test_only_the_champions_answers_count(watch, serve, look):
    for hour in range(5):
        serve(hour)
    calibration = calibrate(watch.reference(START, START + 9 * HOUR, HOUR, SETTINGS), SETTINGS, "champion")
    serve(6, users=30)
    serve(6, comedies=1, version="older")
    report = look(6, calibration).report
    assert report.users == 30
    assert [(one.rows, one.reason) for one in report.skipped] == [(60, "answered by another policy than champion")]


def test_a_calibration_of_other_items_is_refused(watch, serve, look, served):
    for hour in range(5):
        serve(hour)
    other = Watch(watch.evidence, KEY, 0, "champion", ServedItems(served.items, ("2",), ("Drama",)))
    calibration = calibrate(other.reference(START, START + 9 * HOUR, HOUR, SETTINGS), SETTINGS, "champion")
    with pytest.raises(ConfigError, match="other items"):
        look(4, calibration)
