"""The report's figures as inline SVG: intervals beside each other, and curves over training steps.

They are made by hand because a report must be one file that needs nothing else, stays legible on a phone, and keeps its
labels as text. All labels are escaped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gream.evaluation.metrics import Interval

WIDTH = 420
"""Units of every figure's width: about the pixels of a phone, so that text keeps its size there."""
ROW = 26
CURVE_HEIGHT = 190
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 30
SMOOTH_FROM = 40
"""Curves of at least this many points get a running mean."""


@dataclass(frozen=True)
class Row:
    """One system in an interval plot; `own` marks the policy among the baselines."""

    name: str
    interval: Interval
    own: bool


def interval_plot(rows: Sequence[Row], title: str) -> Markup:
    """A dot with its interval for each row, on one axis that starts at 0."""
    left, height = 162, ROW * len(rows) + BOTTOM + TOP
    top = max(row.interval.high for row in rows)
    grid = ticks(0.0, top or 1.0, 4)
    scale = (WIDTH - left - RIGHT) / max(grid[-1], top)

    def x(value: float) -> float:
        return left + value * scale

    parts = [
        Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(x(at), TOP, height - BOTTOM)
        + Markup('<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>').format(
            x(at), height - BOTTOM + 16, _number(at)
        )
        for at in grid
    ]
    for place, row in enumerate(rows):
        parts.append(
            Markup(
                '<g class="{kind}"><text class="name" text-anchor="end" x="{label}" y="{text:.1f}">{name}</text>'
                '<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<circle cx="{value:.1f}" cy="{y:.1f}" r="4.5"><title>{name}: {exact}</title></circle></g>'
            ).format(
                kind="own" if row.own else "other",
                label=left - 10,
                text=TOP + ROW * (place + 0.5) + 4,
                name=row.name,
                low=x(row.interval.low),
                high=x(row.interval.high),
                value=x(row.interval.value),
                y=TOP + ROW * (place + 0.5),
                exact=row.interval.words(),
            )
        )
    return _figure(parts, height, title)


def curve(points: Sequence[tuple[float, float]], title: str, unit: str = "step") -> Markup:
    """A line over training steps, or what else `unit` says; long ones also get a running mean, and then the line itself
    steps back."""
    steps, values = [step for step, _ in points], [value for _, value in points]
    levels = ticks(min(values), max(values), 4)
    low, high = min(levels[0], *values), max(levels[-1], *values)
    first, last = min(steps), max(steps)

    def place(step: float, value: float) -> str:
        x = LEFT + (step - first) / ((last - first) or 1.0) * (WIDTH - LEFT - RIGHT)
        y = TOP + (high - value) / ((high - low) or 1.0) * (CURVE_HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    parts = []
    for level in levels:
        y = place(first, level).partition(",")[2]
        parts.append(
            Markup(
                '<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
                '<text class="tick" text-anchor="end" x="{label}" y="{y}" dy="4">{value}</text>'
            ).format(left=LEFT, right=WIDTH - RIGHT, y=y, label=LEFT - 8, value=_number(level))
        )
    for step, anchor in ((first, "start"), (last, "end")):
        parts.append(
            Markup('<text class="tick" text-anchor="{}" x="{}" y="{}">{}</text>').format(
                anchor, place(step, low).partition(",")[0], CURVE_HEIGHT - 10, f"{unit} {step:g}"
            )
        )
    long = len(points) >= SMOOTH_FROM
    lines = [("faint" if long else "line", values)] + ([("line", running_mean(values))] if long else [])
    for kind, shown in lines:
        path = " ".join(place(step, value) for step, value in zip(steps, shown, strict=True))
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(kind, path))
    return _figure(parts, CURVE_HEIGHT, title)


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """About `wanted` round numbers that enclose or nearly enclose `low .. high`.

    >>> ticks(0.0, 0.27, 4)
    [0.0, 0.1, 0.2, 0.3]
    >>> ticks(5.0, 5.0, 4)
    [5.0]
    """
    if high <= low:
        return [low]
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def running_mean(values: Sequence[float]) -> list[float]:
    """Mean of each value and its neighbours, over a tenth of the curve; narrower at the ends.

    >>> running_mean([0.0, 1.0, 2.0, 3.0])
    [0.5, 1.0, 2.0, 2.5]
    """
    reach = max(1, len(values) // 20)
    windows = [values[max(0, at - reach) : at + reach + 1] for at in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def _figure(parts: Sequence[Markup], height: int, title: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, title, Markup("").join(parts)
    )


def _number(value: float) -> str:
    return f"{value:.3g}"
