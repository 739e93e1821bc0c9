"""What the numbers say, in plain words: how the policy stands beside the baselines, and the paper's failure signs."""

from dataclasses import dataclass
from typing import Final, Literal

from gream.evaluation.metrics import Interval
from gream.evaluation.results import Metrics
from gream.indexing.collision_limit import COLLISION_LIMIT

NAMES: Final = {
    "popularity": "popularity",
    "item_knn": "item-kNN",
    "transitions": "item transitions",
    "sasrec": "SASRec",
    "direct": "direct",
    "reasoning": "reasoning",
    "without_prior": "direct without its prior",
}
HEADLINE: Final = "recall@10"

OFF_HISTORY_LIMIT: Final = 0.10
AIDED_LIMIT: Final = 0.50
UNFINISHED_LIMIT: Final = 0.10
ZERO_VARIANCE_LIMIT: Final = 0.50


@dataclass(frozen=True)
class Verdict:
    """One sentence, and whether it is good news for the policy."""

    tone: Literal["good", "neutral", "bad"]
    text: str


def standing(metrics: Metrics) -> list[Verdict]:
    """The policy beside each baseline, and SRPO beside its SFT start, by paired differences over users."""
    verdicts = [_beside_popularity(metrics)] if "popularity" in metrics.baselines else []
    for name in ("transitions", "sasrec", "item_knn"):
        if f"direct_vs_{name}" in metrics.comparisons:
            difference = metrics.comparisons[f"direct_vs_{name}"][HEADLINE]
            verdicts.append(_compared(f"Direct and {NAMES[name]}, Recall@10", "direct", NAMES[name], difference))
    if "direct_vs_without_prior" in metrics.comparisons:
        difference = metrics.comparisons["direct_vs_without_prior"][HEADLINE]
        verdicts.append(
            _compared(
                "What the prior (transition counts) adds to direct Recall@10",
                "the policy with it",
                "the policy alone",
                difference,
            )
        )
    if "direct_vs_sft" in metrics.comparisons:
        difference = metrics.comparisons["direct_vs_sft"][HEADLINE]
        verdicts.append(_compared("SRPO's effect on direct Recall@10", "the policy", "its SFT start", difference))
    if "reasoning_vs_sft" in metrics.comparisons:
        passes = metrics.comparisons["reasoning_vs_sft"]
        metric = widest_pass(list(passes))
        verdicts.append(
            _compared(f"SRPO's effect on reasoning {label(metric)}", "the policy", "its SFT start", passes[metric])
        )
    return verdicts


def failure_signs(metrics: Metrics) -> list[Verdict]:
    """The paper's failure signs, each said to be there or not; what a run did not measure is left out."""
    signs = metrics.signs
    verdicts = [
        _legality(metrics.legal_item_share),
        _limit(
            "Collisions",
            metrics.index.collision_rate,
            COLLISION_LIMIT,
            "of the items share all their codes with another item",
            "the index hardly tells items apart: richer profiles, larger codebooks or more levels help",
        ),
    ]
    if signs.chains_off_history is not None:
        verdicts.append(
            _limit(
                "Chains and history",
                signs.chains_off_history,
                OFF_HISTORY_LIMIT,
                "of the chains cite nothing, or something that the history does not hold",
                "the reasoning ignores the user: more or longer training on reasoning chains helps",
            )
        )
    if signs.aided_chains is not None:
        verdicts.append(
            _limit(
                "Grounding",
                signs.aided_chains,
                AIDED_LIMIT,
                "of the chains would have left the history, had the decoder let them",
                "the citations are the decoder's work more than the model's: more or longer training on reasoning "
                "chains helps",
            )
        )
    if signs.unfinished_chains is not None:
        verdicts.append(
            _limit(
                "Unfinished chains",
                signs.unfinished_chains,
                UNFINISHED_LIMIT,
                "of the chains ran into the length limit",
                "raise evaluation.max_chain_tokens or train on shorter chains",
            )
        )
    if signs.zero_variance_groups is not None:
        verdicts.append(
            _limit(
                "Zero-variance groups",
                signs.zero_variance_groups,
                ZERO_VARIANCE_LIMIT,
                "of the SRPO groups had equal rewards throughout and taught nothing",
                "SRPO works on few prompts: a larger group or a longer SFT helps",
            )
        )
    return [*verdicts, _reasoning_beside_direct(metrics)]


def widest_pass(names: list[str]) -> str:
    """The Pass@K with the largest K.

    >>> widest_pass(["pass@1", "pass@10", "recall@10"])
    'pass@10'
    """
    return max((name for name in names if name.startswith("pass@")), key=cutoff)


def cutoff(metric: str) -> int:
    """The k of a metric's name.

    >>> cutoff("pass@10")
    10
    """
    return int(metric.partition("@")[2])


def label(metric: str) -> str:
    """A metric's name for people.

    >>> label("ndcg@5"), label("recall@10")
    ('NDCG@5', 'Recall@10')
    """
    name, _, k = metric.partition("@")
    return f"{'NDCG' if name == 'ndcg' else name.capitalize()}@{k}"


def apart(a: Interval, b: Interval) -> bool:
    """Whether two intervals do not overlap."""
    return a.low > b.high or b.low > a.high


def percent(share: float, digits: int = 1) -> str:
    """A share in per cent.

    >>> percent(0.1234), percent(1.0)
    ('12.3%', '100.0%')
    """
    return f"{100 * share:.{digits}f}%"


def points(difference: Interval) -> str:
    """A difference of shares in percentage points, signed, with its interval.

    >>> points(Interval(value=0.021, low=-0.003, high=0.045))
    '+2.1 points (95% interval -0.3 to +4.5)'
    """
    value, low, high = (100 * end for end in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} points (95% interval {low:+.1f} to {high:+.1f})"


def _beside_popularity(metrics: Metrics) -> Verdict:
    ours, popular = metrics.direct[HEADLINE], metrics.baselines["popularity"][HEADLINE]
    times = f"{ours.value / popular.value:.1f} times popularity's" if popular.value else "beside popularity's"
    overlap = "the intervals are separated" if apart(ours, popular) else "the intervals overlap"
    reached = ours.value >= 2 * popular.value and ours.low > popular.high
    return Verdict(
        "good" if reached else "bad",
        f"Direct Recall@10 is {percent(ours.value)}, {times} {percent(popular.value)}; {overlap}. The mark of twice "
        f"popularity with separated intervals is {'reached' if reached else 'missed'}.",
    )


def _compared(what: str, a: str, b: str, difference: Interval) -> Verdict:
    if difference.low > 0:
        return Verdict("good", f"{what}: {a} is ahead of {b} by {points(difference)}.")
    if difference.high < 0:
        return Verdict("bad", f"{what}: {a} is behind {b}, {points(difference)}.")
    return Verdict("neutral", f"{what}: {a} and {b} do not differ clearly, {points(difference)}.")


def _legality(share: float) -> Verdict:
    text = f"Legal items: {percent(share, 1 if share == 1.0 else 3)} of what was recommended is in the catalogue"
    if share < 1.0:
        return Verdict("bad", f"{text}; the decoder must make anything else impossible, so do not use this policy.")
    return Verdict("good", f"{text}.")


def _limit(name: str, share: float, limit: float, what: str, remedy: str) -> Verdict:
    text = f"{name}: {percent(share)} {what} (the limit is {percent(limit, 0)})"
    return Verdict("bad", f"{text}; {remedy}.") if share >= limit else Verdict("good", f"{text}.")


def _reasoning_beside_direct(metrics: Metrics) -> Verdict:
    """Ten items after one chain against ten without one, on the users whom reasoning was measured on."""
    reasoning, difference = metrics.reasoning[HEADLINE].value, metrics.comparisons["reasoning_vs_direct"][HEADLINE]
    direct = reasoning - difference.value
    text = (
        f"Reasoning beside direct on the same users: {label(HEADLINE)} {percent(reasoning)} against {percent(direct)}, "
        f"{points(difference)}"
    )
    if difference.high < 0:
        return Verdict("bad", f"{text}: the chains cost more than they bring.")
    return Verdict("good" if difference.low > 0 else "neutral", f"{text}.")
