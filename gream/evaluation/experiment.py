"""Variants beside the first of them, on the same users and seeds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from gream.errors import ConfigError
from gream.evaluation.metrics import Interval, bootstrap_interval
from gream.evaluation.results import Intervals
from gream.evaluation.trials import Trial
from gream.evaluation.user_values import DIRECT, REASONING

MEASURES: Final = {
    "direct recall@10": (DIRECT, "recall@10"),
    "direct ndcg@10": (DIRECT, "ndcg@10"),
    "reasoning recall@10": (REASONING, "recall@10"),
    "pass@1": (REASONING, "pass@1"),
    "pass@5": (REASONING, "pass@5"),
    "pass@10": (REASONING, "pass@10"),
}
"""What variants are compared by: name -> system and metric of `UserValues`."""

Array = NDArray[np.float64]


class VariantResult(BaseModel):
    """One variant.

    Attributes:
        name: of the variant.
        overrides: its settings, each `section.key=value`.
        values: measure -> mean over users and seeds, with the interval over users.
        users: measure -> users whom it was taken of, under any seed.
        differences: measure -> this variant minus the first, paired by user and seed; empty for the first.
        of_seeds: measure -> the mean over users under each seed.
        collision_rate: mean over the seeds.
        training: signs of SRPO's health, means over the seeds; see `training_signs`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    overrides: tuple[str, ...]
    values: Intervals
    users: dict[str, int]
    differences: Intervals
    of_seeds: dict[str, tuple[float, ...]]
    collision_rate: float
    training: dict[str, float]


class Comparison(BaseModel):
    """Attributes:
    seeds: of every variant.
    users: test users; a measure of reasoning may be taken of some of them alone.
    variants: in the order of the experiment; the first is what the others are compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...]
    users: int
    variants: tuple[VariantResult, ...]


def compare(trials: Sequence[Trial], resamples: int, seed: int = 0) -> Comparison:
    """Compare the variants of an experiment.

    A user's value is the mean over the seeds under which the user was measured; of a difference, the mean over the
    seeds under which both variants measured the user. Intervals are over users: how far seeds lie apart is told beside.

    Args:
        trials: every variant under the same seeds, the variant to compare with first.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigError: variants have different seeds or other test users.
    """
    by_variant: dict[str, dict[int, Trial]] = defaultdict(dict)
    for trial in trials:
        by_variant[trial.facts.variant][trial.facts.seed] = trial
    reference = next(iter(by_variant.values()))
    users = trials[0].values.users
    for name, of_seeds in by_variant.items():
        if of_seeds.keys() != reference.keys():
            raise ConfigError(f"variant {name!r} has the seeds {sorted(of_seeds)}; others have {sorted(reference)}.")
        if any(trial.values.users != users for trial in of_seeds.values()):
            raise ConfigError(f"variant {name!r} was measured on other users: only what keeps them can be compared.")
    return Comparison(
        seeds=tuple(reference),
        users=len(users),
        variants=tuple(_result(of_seeds, reference, resamples, seed) for of_seeds in by_variant.values()),
    )


def _result(of_seeds: dict[int, Trial], reference: dict[int, Trial], resamples: int, seed: int) -> VariantResult:
    values: dict[str, Interval] = {}
    users: dict[str, int] = {}
    differences: dict[str, Interval] = {}
    means: dict[str, tuple[float, ...]] = {}
    for name in MEASURES:
        own = _table(of_seeds, name, reference)
        if own is None:
            continue
        values[name] = _interval(own, resamples, seed)
        users[name] = _measured(own).shape[1]
        means[name] = tuple(np.nanmean(own, axis=1).tolist())
        other = _table(reference, name, reference)
        if of_seeds is not reference and other is not None:
            differences[name] = _interval(own - other, resamples, seed)
    facts = [trial.facts for trial in of_seeds.values()]
    signs = set.intersection(*(set(one.training) for one in facts))
    return VariantResult(
        name=facts[0].variant,
        overrides=facts[0].overrides,
        values=values,
        users=users,
        differences=differences,
        of_seeds=means,
        collision_rate=float(np.mean([one.collision_rate for one in facts])),
        training={sign: float(np.mean([one.training[sign] for one in facts])) for sign in sorted(signs)},
    )


def _table(of_seeds: dict[int, Trial], name: str, seeds: Iterable[int]) -> Array | None:
    """`(seeds, users)` values of a measure, NaN where a user was not measured; None where nobody was.

    Trials come in any order, and are paired by `seeds`.
    """
    system, metric = MEASURES[name]
    rows = [of_seeds[seed].values.systems.get(system, {}).get(metric) for seed in seeds]
    if any(row is None or np.isnan(row).all() for row in rows):
        return None
    return np.stack([np.asarray(row, dtype=np.float64) for row in rows])


def _measured(table: Array) -> Array:
    """The users of a `(seeds, users)` table who were measured under any seed."""
    return table[:, ~np.isnan(table).all(axis=0)]


def _interval(table: Array, resamples: int, seed: int) -> Interval:
    return bootstrap_interval(np.nanmean(_measured(table), axis=0), resamples=resamples, seed=seed)
