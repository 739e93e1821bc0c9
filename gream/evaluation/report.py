"""The run as one HTML page that needs nothing else: no network, no scripts, figures inside."""

from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from gream.evaluation.examples import ExampleUser
from gream.evaluation.figures import Row, curve, interval_plot
from gream.evaluation.results import Metrics
from gream.evaluation.summary import (
    chain_systems,
    list_systems,
    pass_cutoffs,
    protocol_sentence,
    reasoning_protocol,
    short_protocol,
)
from gream.evaluation.verdicts import NAMES, failure_signs, label, percent, standing

TEMPLATE: Final = "report.html.j2"
LIST_METRICS: Final = ("recall@5", "recall@10", "ndcg@5", "ndcg@10")
SRPO_CURVES: Final = {
    "reward": "mean reward",
    "rho": "group success rate rho",
    "zero_variance_share": "zero-variance groups",
    "kl": "KL to the SFT policy, of completions with an advantage",
    "entropy": "entropy of all sampled tokens",
}
"""Logged value -> its title."""

Log = list[dict[str, float]]
"""Entries of a trainer's log, each with its `step`; an entry need not hold every value."""


class ReportData(BaseModel):
    """Everything that the page shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: Metrics
    sft_log: Log
    """Entries with `step` and `loss`."""
    srpo_log: Log
    """Entries with `step`, which counts updates of the weights, and the keys of `SRPO_CURVES`; empty where SRPO did not
    run."""
    examples: list[ExampleUser]


def render_report(data: ReportData) -> str:
    """The page, as HTML text. Every text of the data is escaped."""
    environment = Environment(
        loader=PackageLoader("gream.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "label": label, "duration": duration}
    metrics = data.metrics
    srpo = {title: _series(data.srpo_log, key) for key, title in SRPO_CURVES.items()}
    loss = _series(data.sft_log, "loss")
    return environment.get_template(TEMPLATE).render(
        metrics=metrics,
        protocol=protocol_sentence(metrics.protocol),
        short_protocol=short_protocol(metrics.protocol),
        reasoning_protocol=reasoning_protocol(metrics.protocol),
        standing=standing(metrics),
        signs=failure_signs(metrics),
        list_systems=list_systems(metrics),
        list_metrics=LIST_METRICS,
        chain_systems=chain_systems(metrics),
        chain_metrics=pass_cutoffs(metrics),
        comparisons={_versus(name): differences for name, differences in metrics.comparisons.items() if differences},
        difference_metrics=["recall@10", "ndcg@10", *pass_cutoffs(metrics)[-1:]],
        plots={label(name): _beside_each_other(metrics, name) for name in ("recall@10", "ndcg@10")},
        sft_curve=curve(loss, "SFT loss") if loss else None,
        srpo_curves={title: curve(points, title, "update") for title, points in srpo.items() if points},
        audit=_audit(metrics),
        longest=max(metrics.seconds.values(), default=0.0) or 1.0,
        examples=data.examples,
    )


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(8.42), duration(75), duration(4000)
    ('8.4 s', '1 min 15 s', '1 h 6 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _series(log: Log, key: str) -> list[tuple[float, float]]:
    return [(entry["step"], entry[key]) for entry in log if key in entry]


def _beside_each_other(metrics: Metrics, metric: str) -> Markup:
    rows = [
        Row(name, values[metric], own=name not in {NAMES[baseline] for baseline in metrics.baselines})
        for name, values in list_systems(metrics).items()
        if metric in values
    ]
    return interval_plot(sorted(rows, key=lambda row: -row.interval.value), f"{label(metric)} with 95% intervals")


def _versus(comparison: str) -> str:
    a, _, b = comparison.partition("_vs_")
    return f"{NAMES[a]} minus {'its SFT start' if b == 'sft' else NAMES[b]}"


def _audit(metrics: Metrics) -> Sequence[tuple[str, float | None, float | None]]:
    """Rows of the collision table: which items, rate of this index, rate of a title-only index."""
    index = metrics.index
    few = "Items with minimal metadata" + (f" ({index.minimal_items})" if index.minimal_items is not None else "")
    return [
        ("All items", index.collision_rate, index.title_only_collision_rate),
        (few, index.minimal_collision_rate, index.minimal_title_only_collision_rate),
    ]
