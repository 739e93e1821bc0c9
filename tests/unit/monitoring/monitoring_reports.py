"""Reports of windows with chosen alarms, for decisions."""

from functools import cache

from gream.monitoring.catalogue import CountResult
from gream.monitoring.judgement import Missing, MonitorResult, WindowReport
from gream.monitoring.monitors import MONITORS

DAY = 86_400
START = 20_000 * DAY


def report(day=0, alarms=(), counts=(), missing=(), version="champion", unmeasured=(), skew=(), reference_of=None):
    """The report of a day on which the named monitors, counts and skews alarm, and the named monitors knew too little.

    A day without a reference has no results, and both skews. The reference is the version's own unless it is named.
    """
    return _report(
        day,
        frozenset(alarms),
        frozenset(counts),
        tuple(missing),
        version,
        frozenset(unmeasured),
        frozenset(skew),
        reference_of or version,
    )


def _counts(names, alarming):
    return tuple(
        CountResult(name=name, value=0.5 if name in alarming else 0.05, limit=0.1, meaning="In the test.")
        for name in names
    )


@cache
def _report(day, alarms, counts, missing, version, unmeasured, skew, reference_of):
    results = tuple(
        MonitorResult(name=monitor.name, group=monitor.group, statistic=None, threshold=0.2, users=3)
        if monitor.name in unmeasured
        else MonitorResult(
            name=monitor.name,
            group=monitor.group,
            statistic=0.5 if monitor.name in alarms else 0.1,
            threshold=0.2,
            users=300,
            raised=monitor.name in alarms,
            alarm=monitor.name in alarms,
        )
        for monitor in MONITORS
    )
    return WindowReport(
        start=START + day * DAY,
        end=START + (day + 1) * DAY,
        policy_version=version,
        reference_of=None if "no_reference" in missing else reference_of,
        requests=900,
        users=300,
        results=() if "no_reference" in missing else results,
        counts=_counts(("new_items", "collisions", "bare_texts"), counts),
        skew=_counts(("category", "last_level1"), skew) if "no_reference" in missing else (),
        missing=tuple(Missing(kind=kind, text=f"Missing: {kind}.") for kind in missing),
        skipped=(),
    )
