"""What `benchmarks.growth` has measured: points, the exponents between them, and the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Quantity = Literal["seconds", "mib"]
QUANTITIES: Final[tuple[Quantity, ...]] = ("seconds", "mib")
SMALLEST: Final = 0.001
"""Of a second or a MiB; what is below counts as this."""


@dataclass(frozen=True)
class Point:
    """What one stage took at one size.

    Attributes:
        stage: its name.
        size: users and items of the shop.
        seconds: wall clock.
        mib: by how much the resident memory of its process rose at most.
    """

    stage: str
    size: int
    seconds: float
    mib: float

    def value(self, quantity: Quantity) -> float:
        """Seconds or MiB, at least `SMALLEST`."""
        return max(self.seconds if quantity == "seconds" else self.mib, SMALLEST)


@dataclass(frozen=True)
class Growth:
    """The points of one stage, smallest size first."""

    stage: str
    points: Sequence[Point]

    def exponents(self, quantity: Quantity) -> tuple[float, float]:
        """The slope of the logarithms between the two largest sizes, and by least squares over all."""
        sizes = np.log([point.size for point in self.points])
        values = np.log([point.value(quantity) for point in self.points])
        last = (values[-1] - values[-2]) / (sizes[-1] - sizes[-2])
        return float(last), float(np.polyfit(sizes, values, 1)[0])

    @property
    def bytes_an_item(self) -> float:
        """What one more user and item take in memory, between the two largest sizes."""
        before, last = self.points[-2:]
        return (last.mib - before.mib) * 2**20 / (last.size - before.size)


def growths(points: Sequence[Point]) -> list[Growth]:
    """The points by stage, in the order in which the stages were measured."""
    stages = dict.fromkeys(point.stage for point in points)
    return [
        Growth(stage, sorted((one for one in points if one.stage == stage), key=lambda one: one.size))
        for stage in stages
    ]


def table(points: Sequence[Point]) -> str:
    """Seconds and MiB at each size; where there are two, exponents and the bytes of an item."""
    sizes = sorted({point.size for point in points})
    head = "".join(f"{size:>11,}" for size in sizes)
    lines = [f"{'':<14}{'':>8}{head}  exponent  over all  bytes an item"]
    for growth in growths(points):
        for quantity in QUANTITIES:
            digits = 3 if quantity == "seconds" else 1
            values = "".join(f"{point.value(quantity):>11,.{digits}f}" for point in growth.points)
            line = f"{growth.stage:<14}{quantity:>8}{values:<{len(head)}}"
            if len(growth.points) > 1:
                last, whole = growth.exponents(quantity)
                line += f"  {last:8.2f}  {whole:8.2f}"
                line += f"  {growth.bytes_an_item:13,.0f}" if quantity == "mib" else ""
            lines.append(line)
    return "\n".join(lines)
