"""Evidently shows the numbers that were decided on, and its own UI finds them in the workspace."""

import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest

pytest.importorskip("evidently", reason="Evidently is not installed here: pip install 'gream[monitor]'")

from gream.errors import ConfigError
from gream.monitoring.calibration import Calibration, CalibrationSettings, MonitorThreshold
from gream.monitoring.evidence import Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.evidently_report import add_snapshot, evidently_report
from gream.monitoring.judgement import judge
from gream.monitoring.monitors import MONITORS
from gream.monitoring.user_means import UserMeans

pytestmark = pytest.mark.integration

START = 20_000 * 86_400
BUCKETS = {"history_length": ("0", "1", "2"), "hit_rate": ("",)}
USERS = 80
WAIT_S = 120


@pytest.fixture
def calibration():
    return Calibration(
        policy_version="champion",
        settings=CalibrationSettings(min_windows=2),
        buckets={monitor.name: BUCKETS.get(monitor.name, ("x",)) for monitor in MONITORS},
        monitors={
            "history_length": MonitorThreshold(threshold=0.2, users=USERS, reference=(0.2, 0.3, 0.5)),
            "hit_rate": MonitorThreshold(threshold=0.1, users=USERS, reference=(0.3,)),
        },
        level=0.01,
        simulated_rate=0.01,
        seed=0,
    )


@pytest.fixture
def window(calibration, tmp_path):
    """Means and report of a window: histories have shortened, the hit rate has not moved much."""

    def window(day, users=USERS):
        layout = calibration.layout
        values = np.full((users, layout.width), np.nan, dtype=np.float32)
        columns = dict(zip(layout.buckets, layout.columns, strict=True))
        values[:, columns["history_length"]] = np.eye(3)[np.arange(users) % 2]
        values[:, columns["hit_rate"]] = (np.arange(users) % 4 == day % 4)[:, None]
        means = UserMeans(layout, np.char.mod("u%03d", np.arange(users)), values)
        nothing = read_evidence(tmp_path, Window(START + day * 86_400, START + (day + 1) * 86_400), 0, "key")
        return means, judge(calibration, nothing, means, "champion", [])

    return window


def test_the_page_has_the_numbers_that_were_decided_on(calibration, window, tmp_path):
    means, report = window(0)
    snapshot = evidently_report(calibration, means, report)
    page = snapshot.dict()
    shown = {metric["config"]["monitor"]: metric["value"] for metric in page["metrics"]}
    judged = {one.name: one for one in report.results if one.statistic is not None}
    assert set(judged) == {"history_length", "hit_rate"}
    assert shown == {name: pytest.approx(one.statistic, abs=1e-12) for name, one in judged.items()}
    assert [(one.name, one.raised) for one in judged.values()] == [("history_length", True), ("hit_rate", False)]
    failed = {test["name"].split(":")[0]: test["status"].value == "FAIL" for test in page["tests"]}
    assert failed == {name: one.raised for name, one in judged.items()}
    snapshot.save_html(str(tmp_path / "page.html"))
    assert "How long the histories of requests are." in (tmp_path / "page.html").read_text()


def test_a_window_without_measures_has_no_page(calibration, window):
    means, report = window(0, users=3)
    with pytest.raises(ConfigError, match="no monitor was measured"):
        evidently_report(calibration, means, report)


@pytest.fixture
def get(calibration, window, tmp_path):
    """Asks an Evidently server over a workspace of two windows."""
    workspace = tmp_path / "workspace"
    for day in (0, 1):
        add_snapshot(str(workspace), evidently_report(calibration, *window(day)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["ui", "--workspace", str(workspace), "--host", "127.0.0.1", "--port", str(port)]
    command = [str(Path(sys.executable).with_name("evidently")), *options]
    with (tmp_path / "ui.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"DO_NOT_TRACK": "1"})

    def get(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{port}/api/{path}", data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    deadline = time.monotonic() + WAIT_S
    try:
        while server.poll() is None and time.monotonic() < deadline:
            try:
                get("projects")
                break
            except URLError:
                time.sleep(0.2)
        yield get
    finally:
        server.terminate()
        server.wait()


def test_evidentlys_ui_has_a_panel_for_each_monitor_and_the_windows_in_it(get):
    (project,) = get("projects")
    dashboard = get(f"v2/dashboards/{project['id']}")
    panels = {panel["id"]: panel["title"] for panel in dashboard["panels"]}
    tabs = {tab["title"]: [panels[panel] for panel in tab["panels"]] for tab in dashboard["tabs"]}
    assert tabs == {
        group: [monitor.name for monitor in MONITORS if monitor.group == group]
        for group in ("input", "output", "quality", "data_quality", "catalogue", "operations")
    }
    wanted = next(panel for panel in dashboard["panels"] if panel["title"] == "hit_rate")["values"]
    series = get(f"v2/snapshots/{project['id']}/data_series_batch", {"series_filter": wanted})
    assert [source["timestamp"] for source in series["sources"]] == [
        datetime.fromtimestamp(START + day * 86_400, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for day in (1, 2)
    ]
    (one,) = series["series"]
    assert one["values"] == pytest.approx([0.05, 0.05])
