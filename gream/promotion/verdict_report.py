"""The gate's verdict as one HTML page that needs nothing else: no network, no scripts."""

from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from gream.evaluation.verdicts import label
from gream.promotion.verdict import Verdict

TEMPLATE: Final = "verdict.html.j2"


def render_verdict(verdict: Verdict) -> str:
    """The page, as HTML text. Every text of the record is escaped."""
    environment = Environment(
        loader=PackageLoader("gream.promotion", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    comparisons = [check for check in verdict.checks if check.difference is not None]
    ends = [end for check in comparisons if check.difference for end in (check.difference.low, check.difference.high)]
    limits = [check.limit for check in comparisons if check.limit is not None]
    return environment.get_template(TEMPLATE).render(
        verdict=verdict,
        metric=label(verdict.metric),
        start=datetime.fromtimestamp(verdict.hold_out_start, UTC),
        comparisons=comparisons,
        reach=max(map(abs, [*ends, *limits]), default=1.0) or 1.0,
    )
