"""One window judged: each monitor's statistic beside its threshold, alarms by persistence, and what is missing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from gream.errors import ConfigError
from gream.monitoring.calibration import Calibration
from gream.monitoring.catalogue import CountResult
from gream.monitoring.evidence import USER_HASH, Evidence, Window
from gream.monitoring.monitors import HIT_RATE, MONITORS, Group, Monitor
from gream.monitoring.skew import TrainedTaste
from gream.monitoring.user_means import UserMeans

UNREADABLE_LIMIT: Final = 0.05
"""Share of unreadable files from which on a window proves nothing."""

MissingKind = Literal["silent", "unreadable", "no_feedback", "few_users", "no_reference"]


class Record(BaseModel):
    """Base of what is kept: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MonitorResult(Record):
    """One monitor in one window.

    Attributes:
        name: of the monitor.
        group: of the monitor.
        statistic: see `Monitor.statistic`; None where it knew fewer users than it needs, or has no threshold.
        threshold: in a window of this many users, or, where these were too few, of the reference's; None where the
            reference knew too little to set one.
        users: of whom it knew something.
        reference: of a share, in the reference.
        current: of a share, in this window.
        raised: whether the statistic is above the threshold.
        alarm: whether it raised here and in enough of the windows before.
    """

    name: str
    group: Group
    statistic: float | None
    threshold: float | None
    users: int
    reference: float | None = None
    current: float | None = None
    raised: bool = False
    alarm: bool = False


class Missing(Record):
    """Something without which nothing may be concluded from a window; `text` is a sentence."""

    kind: MissingKind
    text: str


class SkippedEvidence(Record):
    """See `gream.monitoring.evidence.Skipped`."""

    place: str
    rows: int | None
    reason: str


class WindowReport(Record):
    """What a window says of the champion.

    Attributes:
        start: of the window, in seconds since 1970 (UTC).
        end: of the window.
        policy_version: of the champion.
        reference_of: version whose windows are the reference; None without a calibration.
        requests: of the window.
        users: of the window.
        results: of every monitor, in the order of `MONITORS`; empty without a calibration.
        counts: of the catalogue; empty where it was not looked at.
        skew: from the champion's training data; empty once there is a calibration.
        missing: why nothing may be concluded; empty if all is there.
        skipped: evidence that was found and left out.
    """

    start: int
    end: int
    policy_version: str
    reference_of: str | None = None
    requests: int
    users: int
    results: tuple[MonitorResult, ...]
    counts: tuple[CountResult, ...]
    skew: tuple[CountResult, ...] = ()
    missing: tuple[Missing, ...]
    skipped: tuple[SkippedEvidence, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the monitors and counts that alarm."""
        monitors = (one.name for one in self.results if one.alarm)
        return (*monitors, *(one.name for one in (*self.counts, *self.skew) if one.alarm))

    def alarming(self, *groups: Group) -> list[MonitorResult]:
        """The monitors of some groups that alarm."""
        return [one for one in self.results if one.alarm and one.group in groups]


def judge(
    reference: Calibration | TrainedTaste,
    evidence: Evidence,
    means: UserMeans,
    policy_version: str,
    previous: Sequence[WindowReport],
    counts: Sequence[CountResult] = (),
) -> WindowReport:
    """Judge a window.

    Args:
        reference: the champion's calibration; while that is still being gathered, the taste that it was trained on.
        evidence: of the window, of the champion alone (`Evidence.of_policy`).
        means: of that evidence.
        policy_version: of the champion.
        previous: reports of earlier windows, in any order; those that were judged beside another reference and those
            of windows too long ago do not count.
        counts: of the catalogue.

    Raises:
        ConfigError: the calibration is another policy's, or was made with other items.
    """
    calibration = reference if isinstance(reference, Calibration) else None
    if calibration is not None:
        _check_fit(calibration, means, policy_version)
    users = evidence.requests[USER_HASH].n_unique()
    results = [] if calibration is None else _results(calibration, evidence.window, means, previous)
    return WindowReport(
        start=evidence.window.start,
        end=evidence.window.end,
        policy_version=policy_version,
        reference_of=None if calibration is None else calibration.reference_of,
        requests=evidence.requests.height,
        users=users,
        results=tuple(results),
        counts=tuple(counts),
        skew=reference.skew(means) if isinstance(reference, TrainedTaste) else (),
        missing=tuple(_missing(reference, evidence, users)),
        skipped=tuple(SkippedEvidence(place=s.place, rows=s.rows, reason=s.reason) for s in evidence.skipped),
    )


def _check_fit(calibration: Calibration, means: UserMeans, policy_version: str) -> None:
    if calibration.policy_version != policy_version:
        raise ConfigError(
            f"the calibration is that of policy {calibration.policy_version}, but the window is of {policy_version}."
        )
    if means.layout != calibration.layout:
        raise ConfigError("the window was looked at by other items than those that the calibration was made with.")


def _recent(previous: Sequence[WindowReport], window: Window, reference_of: str, of: int) -> list[WindowReport]:
    """The latest report of each of the `of - 1` windows before this one that there is a report of.

    Beside the same reference, whichever version served: one that only got new items carries on.
    """
    oldest = window.start - (of - 1) * window.seconds
    own = [one for one in previous if one.reference_of == reference_of]
    return list({one.start: one for one in own if oldest <= one.start and one.end <= window.start}.values())


def _results(
    calibration: Calibration, window: Window, means: UserMeans, previous: Sequence[WindowReport]
) -> list[MonitorResult]:
    recent = _recent(previous, window, calibration.reference_of, calibration.settings.of)
    raised = Counter(result.name for report in recent for result in report.results if result.raised)
    return [
        _result(monitor, calibration, means.values[:, columns], raised[monitor.name])
        for monitor, columns in zip(MONITORS, calibration.layout.columns, strict=True)
    ]


def _result(
    monitor: Monitor, calibration: Calibration, values: NDArray[np.float32], raised_before: int
) -> MonitorResult:
    """One monitor; `values` are its columns for each user of the window."""
    calibrated = calibration.monitors.get(monitor.name)
    known = values[~np.isnan(values[:, 0])]
    if calibrated is None or len(known) < calibration.settings.min_users:
        threshold = None if calibrated is None else calibrated.threshold
        return MonitorResult(
            name=monitor.name, group=monitor.group, statistic=None, threshold=threshold, users=len(known)
        )
    reference, current = np.array(calibrated.reference), known.mean(axis=0, dtype=np.float64)
    statistic, threshold = float(monitor.statistic(reference, current)), calibrated.at(len(known))
    raised = statistic > threshold
    share = monitor.buckets is None
    return MonitorResult(
        name=monitor.name,
        group=monitor.group,
        statistic=statistic,
        threshold=threshold,
        users=len(known),
        reference=float(reference[0]) if share else None,
        current=float(current[0]) if share else None,
        raised=raised,
        alarm=raised and raised_before + 1 >= calibration.settings.needed,
    )


def _missing(reference: Calibration | TrainedTaste, evidence: Evidence, users: int) -> Iterator[Missing]:
    if isinstance(reference, Calibration):
        least, had_feedback = reference.settings.min_users, HIT_RATE in reference.monitors
    else:
        least, had_feedback = reference.min_users, False
        yield Missing(kind="no_reference", text="The champion's own reference is still being gathered.")
    share = evidence.unreadable_share
    if share > UNREADABLE_LIMIT:
        yield Missing(
            kind="unreadable",
            text=f"{share:.0%} of the window's {evidence.files} files cannot be read (the limit is "
            f"{UNREADABLE_LIMIT:.0%}).",
        )
    if evidence.requests.is_empty():
        yield Missing(kind="silent", text=_why_silent(evidence.answered_by_others))
    elif users < least:
        yield Missing(kind="few_users", text=f"The window has {users} users; at least {least} are needed.")
    elif had_feedback and _nobody_did_anything(evidence):
        yield Missing(
            kind="no_feedback",
            text=f"No feedback was logged, of {users} users: their events are lost on the way, or their log is.",
        )


def _why_silent(others: int) -> str:
    """Why the champion has answered no request, where other policies have answered so many."""
    if not others:
        return "No request was logged: there is no traffic, or its log is lost."
    return f"{others} requests were answered by other policies, none by the champion: serving has not followed it."


def _nobody_did_anything(evidence: Evidence) -> bool:
    """Whether no event arrived in the window."""
    return evidence.feedback.filter(pl.col("received") >= evidence.window.start).is_empty()
