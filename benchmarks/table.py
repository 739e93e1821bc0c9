"""The table of `make bench`: what was measured now, beside what is committed."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.ratio import Ratio

COMMITTED: Final = Path(__file__).with_name("table.json")
LOSS: Final = 0.2
"""A ratio that lost more than this share of the committed one is told of."""


def load(path: Path) -> list[Ratio]:
    """Ratios that `save` wrote."""
    return [Ratio(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def save(path: Path, ratios: Sequence[Ratio]) -> None:
    """Write ratios, rounded to what their spread lets one read."""
    rows = [
        {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(ratio).items()}
        for ratio in ratios
    ]
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def render(ratios: Sequence[Ratio], committed: Sequence[Ratio]) -> str:
    """The table, and in words what has become slower or is gone."""
    before = {ratio.name: ratio.ratio for ratio in committed}
    width = max((len(ratio.name) for ratio in ratios), default=0)
    lines = [f"{'':<{width}}   ratio  of this run's rounds  committed"]
    for ratio in ratios:
        spread = f"{ratio.low:.2f} to {ratio.high:.2f}"
        was = f"{before[ratio.name]:.2f}" if ratio.name in before else "new"
        lines += [f"{ratio.name:<{width}}  {ratio.ratio:>6.2f}  {spread:>20}  {was:>9}", f"    {ratio.detail}"]
    return "\n".join([*lines, *_losses(ratios, before)])


def _losses(ratios: Sequence[Ratio], before: dict[str, float]) -> list[str]:
    lines = []
    for ratio in ratios:
        if ratio.name in before and ratio.ratio < (1 - LOSS) * before[ratio.name]:
            lines.append(f"! {ratio.name}: {ratio.ratio:.2f}, more than {LOSS:.0%} below {before[ratio.name]:.2f}.")
    gone = before.keys() - {ratio.name for ratio in ratios}
    return ["", *lines, *(f"! {name} is in the committed table and was not measured." for name in sorted(gone))]
