"""The timeline as one HTML page that needs nothing else: a figure of days, what holds, and the whole calendar."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.loop.timeline import ACTS, DayEntry, Timeline, hit_rate

WIDTH: Final = 860
HEIGHT: Final = 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 44, 54
TEMPLATE: Final = "timeline.html.j2"


def render_page(timeline: Timeline) -> str:
    """The page, as HTML text."""
    environment = Environment(
        loader=PackageLoader("pipelines.loop", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    acts = [(name, [day for day in timeline.days if day.act == act]) for act, name in ACTS.items()]
    return environment.get_template(TEMPLATE).render(
        timeline=timeline,
        figure=days_figure(timeline.days),
        acts=[(name, len(days), hit_rate(days)) for name, days in acts if days],
        notes=lambda number: [event.text for event in timeline.events if event.day == number],
    )


def days_figure(days: Sequence[DayEntry]) -> Markup:
    """Hit rate by day with 95% intervals, a shade for each champion, and a mark where a monitor alarmed."""
    rates = [hit_rate([day]) for day in days]
    top = max(rate.high for rate in rates) * 1.1
    step = (WIDTH - LEFT - RIGHT) / len(days)

    def x(place: float) -> float:
        return LEFT + (place + 0.5) * step

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP)

    parts = [*_champions(days, step), *_grid(top, y), *_acts(days, step)]
    for place, (day, rate) in enumerate(zip(days, rates, strict=True)):
        parts.append(
            Markup(
                '<g class="{kind}"><line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
                '<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>day {day}: {value:.3f}, {action}</title></circle></g>'
                '<text class="tick" text-anchor="middle" x="{x:.1f}" y="{below}">{day}</text>'
            ).format(
                kind="alarm" if day.alarms else "calm",
                x=x(place),
                low=y(rate.low),
                high=y(rate.high),
                y=y(rate.value),
                day=day.number,
                value=rate.value,
                action=day.action,
                below=HEIGHT - BOTTOM + 18,
            )
        )
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="Hit rate by day">{}</svg>').format(
        WIDTH, HEIGHT, Markup("").join(parts)
    )


def _champions(days: Sequence[DayEntry], step: float) -> list[Markup]:
    """A band for each stretch of days that one policy answered on, with its version above."""
    bands, start = [], 0
    for number, (versions, group) in enumerate(groupby(days, key=lambda day: day.versions)):
        count = len(list(group))
        bands.append(
            Markup(
                '<rect class="band{odd}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}"/>'
                '<text class="version" x="{text:.1f}" y="{above}">{name}</text>'
            ).format(
                odd=number % 2,
                x=LEFT + start * step,
                y=TOP,
                width=count * step,
                height=HEIGHT - BOTTOM - TOP,
                text=LEFT + start * step + 4,
                above=TOP - 8 - 14 * (number % 2),
                name=" ".join(version[:7] for version in versions),
            )
        )
        start += count
    return bands


def _grid(top: float, y: Callable[[float], float]) -> list[Markup]:
    values = [value / 20 for value in range(int(top * 20) + 1)]
    return [
        Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{at:.1f}" y2="{at:.1f}"/>'
            '<text class="tick" text-anchor="end" x="{}" y="{text:.1f}">{value:.2f}</text>'
        ).format(LEFT, WIDTH - RIGHT, LEFT - 8, at=y(value), text=y(value) + 4, value=value)
        for value in values
    ]


def _acts(days: Sequence[DayEntry], step: float) -> list[Markup]:
    """The names of the acts below the days."""
    names, start = [], 0
    for act, group in groupby(days, key=lambda day: day.act):
        count = len(list(group))
        middle = LEFT + (start + count / 2) * step
        names.append(
            Markup('<text class="act" text-anchor="middle" x="{:.1f}" y="{}">{}</text>').format(
                middle, HEIGHT - 12, act
            )
        )
        start += count
    return names
