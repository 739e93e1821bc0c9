"""A comparison of variants for people: a table for a terminal, and one HTML page that needs nothing else."""

import textwrap
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gream.evaluation.experiment import MEASURES, Comparison, VariantResult
from gream.evaluation.figures import Row, interval_plot
from gream.evaluation.summary import WIDTH

TEMPLATE: Final = "experiment.html.j2"
SIGNS: Final = {
    "reward_variance": "reward variance in a group",
    "zero_variance_share": "zero-variance groups",
    "rho": "group success rho, late",
    "rho_gain": "rho, late minus early",
    "entropy": "entropy, late",
    "kl": "KL to the SFT policy where there is an advantage, late",
}
"""Signs of SRPO's health -> their names."""


def comparison_table(comparison: Comparison) -> str:
    """Lines of at most `WIDTH` columns: the means of each variant, and their differences with intervals."""
    lines = [textwrap.fill(_about(comparison), WIDTH)]
    width = max(len(variant.name) for variant in comparison.variants)
    for measure in measures_of(comparison):
        lines.append(f"\n  {_heading(comparison, measure)}")
        for variant in comparison.variants:
            if measure in variant.values:
                lines.append(f"    {variant.name:<{width}}  {_cell(variant, measure)}")
    if signs_of(comparison):
        lines.append("\n  SRPO")
    for variant in comparison.variants:
        if variant.training:
            signs = ", ".join(f"{sign} {variant.training[sign]:.4f}" for sign in SIGNS if sign in variant.training)
            head, rest = f"    {variant.name:<{width}}  ", " " * (width + 6)
            lines.append(textwrap.fill(signs, WIDTH, initial_indent=head, subsequent_indent=rest))
    return "\n".join(lines)


def render_comparison(comparison: Comparison) -> str:
    """The page, as HTML text. Every text of the comparison is escaped."""
    environment = Environment(
        loader=PackageLoader("gream.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    measures = measures_of(comparison)
    return environment.get_template(TEMPLATE).render(
        comparison=comparison,
        about=_about(comparison),
        measures={measure: _heading(comparison, measure) for measure in measures},
        signs={sign: SIGNS[sign] for sign in signs_of(comparison)},
        plots={measure: _plot(comparison, measure) for measure in measures},
    )


def measures_of(comparison: Comparison) -> list[str]:
    """The measures that some variant has, in the order of `MEASURES`."""
    return [name for name in MEASURES if any(name in variant.values for variant in comparison.variants)]


def signs_of(comparison: Comparison) -> list[str]:
    """The signs that some variant has, in the order of `SIGNS`."""
    return [name for name in SIGNS if any(name in variant.training for variant in comparison.variants)]


def _about(comparison: Comparison) -> str:
    first, *others = [variant.name for variant in comparison.variants]
    seeds = ", ".join(map(str, comparison.seeds))
    return (
        f"{comparison.users:,} test users, seeds {seeds}; differences of {', '.join(others)} from {first}, paired by "
        "user and seed, with 95% intervals over users."
    )


def _heading(comparison: Comparison, measure: str) -> str:
    """The measure, and how many users it was taken of where these are not all test users."""
    counts = {variant.users[measure] for variant in comparison.variants if measure in variant.users}
    if counts == {comparison.users}:
        return measure
    return f"{measure} ({' or '.join(f'{count:,}' for count in sorted(counts))} users)"


def _cell(variant: VariantResult, measure: str) -> str:
    text = f"{variant.values[measure].value:.4f}"
    if measure in variant.differences:
        change = variant.differences[measure]
        text += f"  {change.words('+')}"
    seeds = variant.of_seeds[measure]
    return f"{text}  (by seed {', '.join(f'{value:.4f}' for value in seeds)})" if len(seeds) > 1 else text


def _plot(comparison: Comparison, measure: str) -> Markup:
    first = comparison.variants[0].name
    rows = [
        Row(variant.name, variant.values[measure], own=variant.name != first)
        for variant in comparison.variants
        if measure in variant.values
    ]
    return interval_plot(rows, measure)
