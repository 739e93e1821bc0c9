"""The state of the loop on one screen: the champion, its monitors over time, the last decisions, the run under way."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from gream.artifacts import VERSION_DIGITS
from gream.monitoring.catalogue import CountResult
from gream.monitoring.decision import freeze, on_trial, running, unused_order
from gream.monitoring.describe import describe
from gream.monitoring.entries import Decision, Entry, clock
from gream.monitoring.judgement import MonitorResult, WindowReport
from gream.monitoring.monitors import MONITORS, Group
from gream.promotion.champion import Champion

BARS: Final = "▁▂▃▄▅▆▇█"
"""The upper half is above the threshold."""
UNMEASURED: Final = "·"
WINDOWS: Final = 28


def describe_status(
    champion: Champion | None, metrics: Mapping[str, float], history: Sequence[Entry], now: int, decisions: int = 5
) -> str:
    """A screen of text.

    Args:
        champion: the state of its pointer; None where there is none.
        metrics: that its bundle carries.
        history: the record of decisions, oldest entry first.
        now: seconds since 1970 (UTC).
        decisions: how many of the last entries are shown.
    """
    lines = [*_champion(champion, metrics, now), *_orders(history, now), ""]
    reports = [entry.report for entry in history if isinstance(entry, Decision)]
    own = [report for report in reports if champion and report.policy_version == champion.version][-WINDOWS:]
    lines += [*_monitors(own), "", f"Last of {len(history)} entries in the record:" if history else "Nothing decided."]
    lines += [f"  {line}" for entry in history[-decisions:] for line in describe(entry).splitlines()]
    return "\n".join(lines)


def sparkline(ratios: Sequence[float | None]) -> str:
    """Statistics as bars, in units of their thresholds: the lower half of the characters lies below 1.

    >>> sparkline([0.0, 0.5, 0.99, 1.0, 1.6, None])
    '▁▃▄▅▇·'
    """
    half = len(BARS) // 2
    return "".join(
        UNMEASURED if ratio is None else BARS[max(0, min(len(BARS) - 1, int(half * ratio)))] for ratio in ratios
    )


def _champion(champion: Champion | None, metrics: Mapping[str, float], now: int) -> Iterator[str]:
    if champion is None:
        yield "There is no champion."
        return
    since, age = int(champion.since.timestamp()), champion.age_seconds(datetime.fromtimestamp(now, UTC)) / 86_400
    yield f"Champion {champion.version}, move {champion.number}, since {clock(since)} ({age:.1f} days)."
    if metrics:
        measured = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        yield f"Measured when it was trained: {measured}."


def _orders(history: Sequence[Entry], now: int) -> Iterator[str]:
    run = running(history)
    yield "No run is under way." if run is None else f"Under way: {run.action}, decided at {clock(run.at)} ({run.id})."
    trial = on_trial(history)
    if trial is not None:
        yield f"On trial: {trial.verdict.challenger[:VERSION_DIGITS]}, since {clock(trial.at)}."
    frozen = freeze(history, now)
    if frozen is not None:
        yield f"Frozen by {frozen.by} at {clock(frozen.at)}: {frozen.reason}"
    order = unused_order(history)
    if order is not None:
        fate = "Ran out unused" if order.ran_out(now) else "Waits for the next decision"
        yield f"{fate}: {order.action}, ordered by {order.by} at {clock(order.at)}: {order.reason}"


def _monitors(reports: Sequence[WindowReport]) -> Iterator[str]:
    """A line for each monitor, and for each count of the catalogue."""
    if not reports:
        yield "No window of this champion has been judged yet."
        return
    if not any(report.results for report in reports):
        yield "The champion's own reference is still being gathered: only its training data were compared."
        yield from _counts("input", reports[-1].skew)
        return
    judged = [report for report in reports if report.results]
    yield f"Monitors over {len(judged)} windows, the latest one last; the upper half of a bar is above the threshold:"
    for place, monitor in enumerate(MONITORS):
        results = [report.results[place] for report in judged]
        last = results[-1]
        ratios = [_ratio(one) for one in results]
        note = "  ALARM" if last.alarm else "  raised" if last.raised else ""
        yield f"  {monitor.group:12} {monitor.name:18} {sparkline(ratios)}  {_number(last)}{note}"
    yield from _counts("catalogue", judged[-1].counts)


def _counts(group: Group, counts: Sequence[CountResult]) -> Iterator[str]:
    for count in counts:
        note = "  ALARM" if count.alarm else ""
        yield f"  {group:12} {count.name:18} {count.value:.1%}, limit {count.limit:.0%}{note}"


def _number(result: MonitorResult) -> str:
    if result.threshold is None:
        return "no threshold"
    return "too few users" if result.statistic is None else f"{result.statistic:.3f} of {result.threshold:.3f}"


def _ratio(result: MonitorResult) -> float | None:
    """A statistic in units of its threshold."""
    return result.statistic / result.threshold if result.statistic is not None and result.threshold else None
