"""The table that a run prints at its end."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final

from gream.evaluation.results import EvaluationProtocol, Intervals, Metrics
from gream.evaluation.verdicts import NAMES, cutoff, failure_signs, label, standing

COLUMNS: Final = ("recall@5", "recall@10", "ndcg@5", "ndcg@10")
WIDTH: Final = 120
MARKS: Final = {"good": "+", "neutral": "=", "bad": "!"}


def summary_table(metrics: Metrics) -> str:
    """Headline numbers with 95% intervals, and what they mean, as plain text of at most `WIDTH` columns."""
    lists = _table(list_systems(metrics), COLUMNS)
    chains = _table(chain_systems(metrics), pass_cutoffs(metrics))
    verdicts = [
        textwrap.fill(verdict.text, WIDTH, initial_indent=f"  {MARKS[verdict.tone]} ", subsequent_indent="    ")
        for verdict in [*standing(metrics), *failure_signs(metrics)]
    ]
    return "\n".join(
        [
            f"{metrics.dataset}, profile {metrics.profile}, seed {metrics.seed}",
            textwrap.fill(protocol_sentence(metrics.protocol), WIDTH),
            "",
            *lists,
            "",
            *chains,
            "",
            *verdicts,
            "",
            f"  Total of the stages: {sum(metrics.seconds.values()):.0f} s.",
        ]
    )


def list_systems(metrics: Metrics) -> dict[str, Intervals]:
    """Every system that returns one ranked list, by its name for people: the policy first, then the baselines."""
    systems = {"direct": metrics.direct}
    if metrics.without_prior is not None:
        systems |= {"direct, without prior": metrics.without_prior}
    if metrics.reinforced:
        systems |= {"direct, SFT only": metrics.sft.direct}
    if "recall@10" in metrics.reasoning:
        systems |= {"reasoning, one chain": metrics.reasoning}
    return systems | {NAMES[name]: values for name, values in metrics.baselines.items()}


def chain_systems(metrics: Metrics) -> dict[str, Intervals]:
    """Every system of which chains were sampled, by its name for people."""
    start = {"reasoning, SFT only": metrics.sft.reasoning} if metrics.reinforced else {}
    return {"reasoning": metrics.reasoning, **start}


def pass_cutoffs(metrics: Metrics) -> list[str]:
    """The Pass@K that were measured, smallest K first."""
    return sorted((name for name in metrics.reasoning if name.startswith("pass@")), key=cutoff)


def protocol_sentence(protocol: EvaluationProtocol) -> str:
    """The protocol in words."""
    seen = "taken out of the ranking" if protocol.exclude_seen else "kept in the ranking"
    some = f" Rows of reasoning: {protocol.reasoning_users:,} of them." if _some_reasoned(protocol) else ""
    return (
        f"Leave-last-one-out, {protocol.users:,} test users, all {protocol.items:,} items ranked, items of the history "
        f"{seen}; {100 * protocol.confidence:.0f}% intervals over users.{some}"
    )


def short_protocol(protocol: EvaluationProtocol) -> str:
    """The protocol in a few words, for beside a table."""
    some = f", {protocol.reasoning_users:,} of them in rows of reasoning" if _some_reasoned(protocol) else ""
    return _short(protocol, f"{protocol.users:,} users{some}; ")


def reasoning_protocol(protocol: EvaluationProtocol) -> str:
    """The same for beside a table of reasoning alone."""
    return _short(protocol, "" if protocol.reasoning_users is None else f"{protocol.reasoning_users:,} users; ")


def _short(protocol: EvaluationProtocol, users: str) -> str:
    seen = "taken out" if protocol.exclude_seen else "kept"
    return f"Items of the history {seen}; {users}{100 * protocol.confidence:.0f}% intervals."


def _some_reasoned(protocol: EvaluationProtocol) -> bool:
    """Whether reasoning was measured on some of the users alone."""
    return protocol.reasoning_users not in (None, protocol.users)


def _table(systems: Mapping[str, Intervals], metrics: Sequence[str]) -> list[str]:
    """Lines of a table: one row for each system, `value [low, high]` in each cell."""
    width = max(map(len, systems))
    lines = [" " * (width + 4) + "".join(f"{label(metric):<24}" for metric in metrics).rstrip()]
    for system, values in systems.items():
        cells = [v.words() if (v := values.get(metric)) else "-" for metric in metrics]
        lines.append(f"  {system:<{width}}  " + "".join(f"{cell:<24}" for cell in cells).rstrip())
    return lines
