"""A challenger on trial: what its visitors do is held against what the champion's visitors do meanwhile.

The gate has let it through on yesterday's users. Here it answers a share of today's, and is looked at after every
window, over the whole trial so far. It wins when it is *not inferior*: the interval for canary minus champion, over
users, lies above minus the margin. It loses as soon as that interval lies below zero, when it answers much slower, or
when the trial ends and nothing has been shown: nothing is promoted for want of evidence.

Looking again and again gives chance as many chances. The interval of each look is widened so that all `max_windows` of
them hold together with the confidence (Bonferroni). Users who met both policies count once on each side; what they have
in common makes the interval wider than it need be, not narrower. What such a user takes counts for the last list before
it, whoever gave it: counted for the earlier ones too, it would be a miss for whoever has given fewer of the last ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gream.monitoring.evidence import USER_HASH, Evidence
from gream.monitoring.labels import label_last_requests

Count = Annotated[int, Field(ge=1)]


class CanarySettings(BaseModel):
    """How a trial is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Literal["hit_rate", "ndcg", "click_rate"] = "hit_rate"
    """What users did, as the monitors of the same names measure it."""
    margin: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """How much worse the canary may be, in units of the metric."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """That all looks of a trial hold together."""
    min_users: Annotated[int, Field(ge=2)] = 50
    """Users with a label on either side; with fewer, a look says nothing."""
    min_windows: Count = 2
    """Windows that a canary must have served to win; it may lose after the first."""
    max_windows: Count = 7
    """After so many windows a trial ends."""
    slowdown: Annotated[float, Field(ge=0.0)] = 1.0
    """Share by which the median time in the engine may rise. More than at the gate: it runs on other machines, under
    another load."""

    @model_validator(mode="after")
    def possible(self) -> Self:
        """A trial can be won before it ends."""
        if self.min_windows > self.max_windows:
            raise ValueError(f"min_windows must not exceed max_windows, but {self.min_windows} > {self.max_windows}")
        return self


@dataclass(frozen=True)
class Arm:
    """One side of a trial.

    Attributes:
        values: `(n,)` the metric of each user with a label, a mean over their requests.
        engine_ms: median time in the engine over all requests; None without any.
    """

    values: NDArray[np.float64]
    engine_ms: float | None

    @classmethod
    def each(cls, evidence: Evidence, versions: Sequence[str], metric: str) -> "list[Arm]":
        """Those of some policies, from what is known of the requests of all policies since the trial began."""
        answered, labels = pl.col("policy_version"), label_last_requests(evidence)
        arms = []
        for version in versions:
            own = labels.filter(answered == version).group_by(USER_HASH).agg(pl.col(metric).mean()).drop_nulls()
            median = evidence.requests.filter(answered == version)["engine_ms"].median()
            arms.append(cls(own[metric].to_numpy(), median if isinstance(median, float) else None))
        return arms


@dataclass(frozen=True)
class Look:
    """What a look at a trial says.

    Attributes:
        finding: `wait` goes on with the trial.
        text: a sentence or two with the numbers.
    """

    finding: Literal["wait", "promote", "withdraw"]
    text: str


def look_at(canary: Arm, champion: Arm, windows: int, settings: CanarySettings) -> Look:
    """Judge a trial so far.

    Args:
        canary: the challenger's side.
        champion: the other.
        windows: that are over since the trial began.
        settings: see there.
    """
    if canary.engine_ms is not None and champion.engine_ms is not None:
        ratio = canary.engine_ms / max(champion.engine_ms, 1e-9)
        if ratio > 1.0 + settings.slowdown and len(canary.values) >= settings.min_users:
            return Look("withdraw", f"It is slower: {canary.engine_ms:.0f} ms beside {champion.engine_ms:.0f} ms.")
    fewest = min(len(canary.values), len(champion.values))
    if fewest < settings.min_users:
        text = f"{fewest} users with a label on one side in {windows} windows; {settings.min_users} are needed."
        return _unless_over(Look("wait", text), windows, settings)
    difference, half = _difference(canary.values, champion.values, settings)
    low, high = difference - half, difference + half
    sides = [f"{arm.values.mean():.3f} of {len(arm.values)} users" for arm in (canary, champion)]
    interval = f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
    numbers = f"{settings.metric} {' beside '.join(sides)}, {interval} in {windows} windows."
    if high < 0.0:
        return Look("withdraw", f"It is worse: {numbers}")
    if low > -settings.margin and windows >= settings.min_windows:
        return Look("promote", f"Not worse by {settings.margin:g}: {numbers}")
    return _unless_over(Look("wait", f"Open: {numbers}"), windows, settings)


def _unless_over(look: Look, windows: int, settings: CanarySettings) -> Look:
    if windows < settings.max_windows:
        return look
    return Look("withdraw", f"The trial is over and has shown nothing. {look.text}")


def _difference(
    canary: NDArray[np.float64], champion: NDArray[np.float64], settings: CanarySettings
) -> tuple[float, float]:
    """Difference of the means, and half the width of its interval (normal quantile, two-sided).

    Both sides get the larger variance of the two: that of few visitors of whom none hit is 0, and knows nothing. It is
    at least that of one hit in two visitors more than the smaller side has.
    """
    chance = (1.0 - settings.confidence) / settings.max_windows
    one_hit = 1 / (min(len(canary), len(champion)) + 2)
    variance = max(canary.var(ddof=1), champion.var(ddof=1), one_hit * (1 - one_hit))
    error = math.sqrt(variance * (1 / len(canary) + 1 / len(champion)))
    return float(canary.mean() - champion.mean()), NormalDist().inv_cdf(1.0 - chance / 2) * error
