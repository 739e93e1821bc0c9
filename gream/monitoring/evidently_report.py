"""A judged window for people: an Evidently report with the calibrated thresholds, and a snapshot for Evidently's UI.

Evidently computes each statistic again, from the same means by the same function, so its page shows the very numbers
that were decided on. Its own drift methods are left out: with their default thresholds they alarm on identical data.

    evidently ui --workspace FOLDER

shows the project's dashboards; the process needs this package, because the snapshots name its metric.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

os.environ.setdefault("DO_NOT_TRACK", "1")  # Before the import: Evidently reports its use otherwise.

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context, Snapshot
from evidently.legacy.renderers.html_widgets import plotly_figure
from evidently.sdk.models import DashboardModel, DashboardPanelPlot, DashboardTabModel, PanelMetric
from evidently.sdk.panels import line_plot_panel
from evidently.tests import lte
from evidently.ui.workspace import Project, RemoteWorkspace, Workspace, WorkspaceBase

from gream.errors import ConfigError
from gream.monitoring.calibration import Calibration
from gream.monitoring.judgement import WindowReport
from gream.monitoring.monitors import MONITORS, Group, Monitor
from gream.monitoring.user_means import UserMeans

PROJECT: Final = "GREAM"
SECRET: Final = "EVIDENTLY_SECRET"
BY_NAME: Final = {monitor.name: monitor for monitor in MONITORS}


class MonitorStatistic(SingleValueMetric):
    """The statistic of one of `MONITORS`."""

    monitor: str


class MonitorStatisticCalculation(SingleValueCalculation[MonitorStatistic]):
    """From the means of the current users, and the reference's mean in one row."""

    def calculate(
        self,
        context: Context,  # noqa: ARG002 - the signature is Evidently's.
        current_data: Dataset,
        reference_data: Dataset | None,
    ) -> SingleValue:
        """See `Monitor.statistic`."""
        name = self.metric.monitor
        current, reference = (_mean(data, name) for data in (current_data, reference_data))
        monitor = BY_NAME[name]
        result = self.result(float(monitor.statistic(reference.to_numpy(), current.to_numpy())))
        bars = {"reference": reference, "this window": current}
        figure = go.Figure([go.Bar(name=who, x=_buckets(mean, name), y=mean) for who, mean in bars.items()])
        result.widget = [plotly_figure(title=f"{name}. {monitor.meaning}", figure=figure)]
        return result

    def display_name(self) -> str:
        """For the page."""
        return str(self.metric.monitor)


def evidently_report(calibration: Calibration, means: UserMeans, report: WindowReport) -> Snapshot:
    """The report of a window.

    Args:
        calibration: that the window was judged by.
        means: of the window's users.
        report: the judgement.

    Returns:
        A snapshot: `save_html` writes the page, `add_snapshot` keeps it for the UI.

    Raises:
        ConfigError: no monitor was measured.
    """
    judged = [result for result in report.results if result.statistic is not None]
    if not judged:
        raise ConfigError("a window in which no monitor was measured has no report.")
    places = dict(zip(calibration.buckets, calibration.layout.columns, strict=True))
    names = [f"{result.name}: {bucket}" for result in judged for bucket in calibration.buckets[result.name]]
    current = np.concatenate([means.values[:, places[result.name]] for result in judged], axis=1, dtype=np.float64)
    reference = [mean for result in judged for mean in calibration.monitors[result.name].reference]
    definition = DataDefinition(numerical_columns=names)
    return Report(
        [MonitorStatistic(monitor=result.name, tests=[lte(result.threshold)]) for result in judged],
        metadata={"policy_version": report.policy_version},
    ).run(
        Dataset.from_pandas(pd.DataFrame(current, columns=names), definition),
        Dataset.from_pandas(pd.DataFrame([reference], columns=names), definition),
        timestamp=datetime.fromtimestamp(report.end, UTC),
    )


def add_snapshot(place: str, snapshot: Snapshot) -> None:
    """Keep a snapshot in an Evidently workspace, where the project with its dashboards is made if it is not there.

    Args:
        place: a folder, or the URL of an Evidently UI; EVIDENTLY_SECRET is what that asks for before it lets write.
        snapshot: from `evidently_report`.

    Raises:
        OSError: the folder cannot be written, or the UI does not answer or refuses.
    """
    opened = _open(place)
    found = opened.search_project(PROJECT)
    project = found[0] if found else _new_project(opened)
    opened.add_run(project.id, snapshot)


def _open(place: str) -> WorkspaceBase:
    if place.startswith(("http://", "https://")):
        return RemoteWorkspace(place, secret=os.environ.get(SECRET) or None)
    Path(place).mkdir(parents=True, exist_ok=True)
    return Workspace(place)


def _new_project(workspace: WorkspaceBase) -> Project:
    project = workspace.create_project(PROJECT, "The champion, watched: a panel for each monitor.")
    panels = {monitor: _panel(monitor) for monitor in MONITORS}
    tabs = [
        DashboardTabModel(title=group, panels=[panel.id for monitor, panel in panels.items() if monitor.group == group])
        for group in get_args(Group)
    ]
    # Evidently 0.7.23's own `add_panel` puts all but the first panel of a tab there twice.
    workspace.save_dashboard(project.id, DashboardModel(tabs=tabs, panels=list(panels.values())))
    return project


def _panel(monitor: Monitor) -> DashboardPanelPlot:
    value = PanelMetric(legend=monitor.name, metric="MonitorStatistic", metric_labels={"monitor": monitor.name})
    return line_plot_panel(monitor.name, [value], monitor.meaning, size="half")


def _mean(data: Dataset | None, monitor: str) -> "pd.Series[float]":
    """Mean of each of a monitor's columns over the rows that have one."""
    frame = data.as_dataframe() if data is not None else pd.DataFrame()
    return frame[[name for name in frame.columns if name.startswith(f"{monitor}: ")]].mean()


def _buckets(mean: "pd.Series[float]", monitor: str) -> list[str]:
    return [name.removeprefix(f"{monitor}: ") or monitor for name in mean.index]
