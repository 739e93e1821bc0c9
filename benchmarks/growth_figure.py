"""The figure of `benchmarks.growth`: seconds and memory of each stage by size, on logarithmic axes, as one SVG."""

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from benchmarks.growth_points import SMALLEST, Point, Quantity, growths

WIDTH, HEIGHT = 1_080, 470
PANEL: Final = 400
"""From the left edge of a panel to the end of its axes; the names of its lines stand to the right of it."""
LEFT, TOP, BOTTOM = 62, 40, 48
APART: Final = 15
"""Between two names, at least."""
COLOURS: Final = ("#1f77b4", "#d95f02", "#2ca02c", "#b2182b", "#6a51a3", "#8c564b", "#c51b7d")
STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd}"
    ".guide{stroke:#bbb;stroke-dasharray:3 4}polyline{fill:none;stroke-width:1.8}"
)


def draw(points: Sequence[Point]) -> str:
    """Two panels beside each other; the dotted lines rise in proportion to the size."""
    panels = [_Panel(points, "seconds", 0).draw("seconds"), _Panel(points, "mib", WIDTH // 2).draw("MiB of memory")]
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="Growth of each stage">'
            '<style>{}</style><rect width="100%" height="100%" fill="white"/>{}</svg>'
        ).format(WIDTH, HEIGHT, Markup(STYLE), Markup("").join(panels))
    )


class _Panel:
    """One quantity; `left` is where the panel begins."""

    def __init__(self, points: Sequence[Point], quantity: Quantity, left: int) -> None:
        self._growths, self._quantity, self._left = growths(points), quantity, left
        self._sizes = sorted({point.size for point in points})
        values = [point.value(quantity) for point in points]
        self._low, self._high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self._decades = math.log10(self._sizes[-1] / self._sizes[0])

    def draw(self, title: str) -> Markup:
        """Title, axes, guides, and for each stage a line with its name and the exponent that fits its points."""
        head = Markup('<text class="title" x="{}" y="{}">{}</text>').format(self._left + LEFT, TOP - 16, title)
        return Markup("").join([head, *self._axes(), *self._guides(), *self._lines()])

    def _x(self, size: float) -> float:
        return self._left + LEFT + math.log10(size / self._sizes[0]) / (self._decades or 1.0) * (PANEL - LEFT)

    def _y(self, value: float) -> float:
        share = (math.log10(max(value, SMALLEST)) - self._low) / ((self._high - self._low) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    def _axes(self) -> list[Markup]:
        values = [
            Markup(
                '<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text text-anchor="end" x="{label}" y="{y:.1f}" dy="4">{name:,g}</text>'
            ).format(
                left=self._left + LEFT,
                right=self._left + PANEL,
                label=self._left + LEFT - 8,
                y=self._y(10.0**power),
                name=10.0**power,
            )
            for power in range(self._low, self._high + 1)
        ]
        sizes = [
            Markup('<text text-anchor="middle" x="{:.1f}" y="{}">{:,}</text>').format(self._x(size), HEIGHT - 26, size)
            for size in self._sizes
        ]
        return values + sizes

    def _guides(self) -> list[Markup]:
        lines = []
        for power in range(self._low, self._high):
            rise = min(self._decades, self._high - power)
            lines.append(
                Markup('<line class="guide" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
                    self._x(self._sizes[0]),
                    self._y(10.0**power),
                    self._x(self._sizes[0] * 10**rise),
                    self._y(10.0 ** (power + rise)),
                )
            )
        return lines

    def _lines(self) -> list[Markup]:
        """Lines, and their names at the height of their ends, each moved down as far as the one above it needs."""
        drawn, ends = [], []
        for place, growth in enumerate(self._growths):
            line = [(self._x(point.size), self._y(point.value(self._quantity))) for point in growth.points]
            colour = COLOURS[place % len(COLOURS)]
            drawn.append(
                Markup('<polyline points="{}" stroke="{}"{}/>').format(
                    " ".join(f"{x:.1f},{y:.1f}" for x, y in line),
                    colour,
                    Markup(' stroke-dasharray="6 3"') if place >= len(COLOURS) else "",
                )
            )
            x, y = line[-1]
            name = growth.stage
            if len(growth.points) > 1:
                name += f" {round(growth.exponents(self._quantity)[1], 2) + 0.0:.2f}"  # + 0.0 turns -0.0 into 0.0
            ends.append((y, x, name, colour))
        free = 0.0
        for y, x, name, colour in sorted(ends):
            height = max(y, free)
            free = height + APART
            drawn.append(
                Markup(
                    '<line x1="{:.1f}" y1="{:.1f}" x2="{}" y2="{height:.1f}" stroke="{colour}" stroke-width=".6"/>'
                    '<text x="{}" y="{height:.1f}" dy="4" style="fill:{colour}">{}</text>'
                ).format(x, y, self._left + PANEL + 14, self._left + PANEL + 17, name, height=height, colour=colour)
            )
        return drawn
