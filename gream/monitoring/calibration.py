"""Thresholds by bootstrap, such that a week without drift alarms no more often than a parameter says.

What is promised is a rate for everything together: the chance that *any* monitor alarms *anywhere* in a period (by
default a week of daily windows) in which nothing changes. The reference is a row of windows of the length that is
monitored. From it many such periods are simulated, every monitor is run over each as it will be run in earnest, with
its persistence, and the thresholds are set where the share of simulated periods with an alarm is the configured one.

The simulation. For each replicate, users are drawn twice with replacement, once for the reference, once for the period:

- users, not rows: what one user does in a window, and in the next ones, hangs together, so all of it comes or goes
  together. Large references are drawn in `BLOCKS` random blocks of users, which keeps mean and variance.
- the period is a stretch of consecutive reference windows, beginning anywhere and going around at the end: a weekend
  stays two days long. How far a window's mean lies from the reference mean is partly chance, which the drawn users
  already bring, and partly the window (a Sunday, a campaign). Only that second part is kept: the deviation is shrunk by
  the share of its variance that the drawn users do not explain, and widened as for one more window than were seen.

Many tests. All monitors get the same chance to raise by themselves: the threshold of each is the same quantile of its
own simulated statistic, and the level of that quantile is where the *joint* rate holds (single-step minimum p of
Westfall and Young). Bonferroni would promise the same and cost power, because the monitors are correlated: a genre's
surge moves codes, categories and novelty at once. Persistence costs no power either: it is inside the simulation.

Left out: seasons longer than a window that the reference does not hold whole. Take windows of a day and a reference of
whole weeks. That users come again in the real period, while the simulation draws afresh, errs on the quiet side.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Final, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gream.documents import open_document
from gream.errors import ArtifactError, ConfigError
from gream.monitoring.monitors import MONITORS, Array
from gream.monitoring.user_means import Layout, UserMeans

BLOCKS: Final = 1_000
"""Users are drawn singly up to here, in as many random blocks beyond."""
FEWEST_ALARMS: Final = 10
"""Simulated periods that must alarm at the configured rate: with fewer, the thresholds would be chance themselves."""

Count = Annotated[int, Field(ge=1)]


class CalibrationSettings(BaseModel):
    """How often the monitors may alarm without cause, and what counts as an alarm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    false_alarm_rate: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    """Chance of any alarm in a period in which nothing changes."""
    period_windows: Count = 7
    """Windows of that period: a week of days."""
    needed: Count = 2
    """A monitor alarms when it raised in this many ..."""
    of: Count = 3
    """... of this many consecutive windows, the present one among them."""
    replicates: Count = 2_000
    """Simulated periods."""
    min_windows: Annotated[int, Field(ge=2)] = 7
    """Windows that a reference needs."""
    min_users: Annotated[int, Field(ge=2)] = 50
    """Users of whom a monitor must know something in a window; with fewer it says nothing."""

    @model_validator(mode="after")
    def possible(self) -> Self:
        """Persistence can be reached, and the rate can be told from the simulation."""
        if self.needed > self.of:
            raise ValueError(f"needed must not exceed of, but {self.needed} of {self.of} windows is impossible")
        if self.false_alarm_rate * self.replicates < FEWEST_ALARMS:
            least = math.ceil(FEWEST_ALARMS / self.false_alarm_rate)
            raise ValueError(f"replicates must be at least {least} for a rate of {self.false_alarm_rate:g}")
        return self


class MonitorThreshold(BaseModel):
    """One calibrated monitor.

    Attributes:
        threshold: a statistic above it raises, in a window of `users` users or more.
        users: of whom the monitor knew something in a reference window, on average.
        reference: mean of each bucket over the reference's users.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float
    users: float
    reference: tuple[float, ...]

    def at(self, users: int) -> float:
        """The threshold in a window of so many users: chance shrinks with the root of their number.

        In larger windows than the reference's it stays: what windows differ by on their own does not shrink.
        """
        return self.threshold * math.sqrt(max(1.0, self.users / users))


class Calibration(BaseModel):
    """Reference and thresholds of one champion.

    Attributes:
        policy_version: of the champion.
        inherited_from: version whose windows it was made of, where that is not the champion itself.
        settings: that it was made with.
        buckets: see `Layout`.
        monitors: by name; one that the reference knows too little for is not there, and stays silent.
        level: share of the simulated windows in which a monitor raises by itself.
        simulated_rate: share of the simulated periods with an alarm.
        seed: of the simulation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy_version: str
    inherited_from: str | None = None
    settings: CalibrationSettings
    buckets: dict[str, tuple[str, ...]]
    monitors: dict[str, MonitorThreshold]
    level: float
    simulated_rate: float
    seed: int

    @property
    def reference_of(self) -> str:
        """Version whose windows it was made of."""
        return self.inherited_from or self.policy_version

    def inherited_by(self, version: str) -> "Calibration":
        """The same for a champion that answers as this one."""
        return self.model_copy(update={"policy_version": version, "inherited_from": self.reference_of})

    @property
    def layout(self) -> Layout:
        """Of the windows that can be judged by it."""
        return Layout(self.buckets)

    def save(self, place: str) -> None:
        """Keep it at a path or `s3://bucket/key`; where one stands already, of the same windows, it is the same.

        Raises:
            ConfigError: the URI or the environment does not fit.
            StoreError: it cannot be written.
        """
        document = open_document(place)
        document.replace(self.model_dump_json(indent=2) + "\n", document.read().tag)

    @classmethod
    def load(cls, place: str) -> "Calibration | None":
        """Read it; None where there is none yet.

        Raises:
            ConfigError: the URI or the environment does not fit.
            StoreError: it cannot be read.
            ArtifactError: it is not one of this shape.
        """
        content = open_document(place).read()
        if content.tag is None:
            return None
        try:
            return cls.model_validate_json(content.text)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise ArtifactError(f"{place} is not a calibration of the monitors: {reason}.") from error


def calibrate(
    reference: Sequence[UserMeans], settings: CalibrationSettings, policy_version: str, seed: int = 0
) -> Calibration:
    """Set the thresholds.

    Args:
        reference: consecutive windows of the champion in health, oldest first.
        settings: rate and persistence.
        policy_version: of the champion.
        seed: of the simulation.

    Raises:
        ConfigError: the reference has fewer windows than `min_windows`, windows of different layouts, or too few users
            for any monitor.
    """
    if len(reference) < settings.min_windows:
        raise ConfigError(f"a reference needs {settings.min_windows} windows or more; got {len(reference)}.")
    layout = reference[0].layout
    if any(window.layout != layout for window in reference):
        raise ConfigError("the windows of a reference must be of one policy's items; their layouts differ.")
    random = np.random.default_rng(seed)
    sums, counts = _block_sums(reference, layout, random)
    users = counts.sum(axis=1).mean(axis=0)
    known = [number for number in range(len(MONITORS)) if users[number] >= settings.min_users]
    if not known:
        raise ConfigError(
            f"the reference has {max(users):.0f} users in a window; at least {settings.min_users} are needed."
        )
    statistics = _simulate(sums, counts, layout, known, settings.replicates, random)
    chances = _chances(statistics)
    rarest = _rarest_alarms(chances, settings, random)
    level = float(np.sort(rarest)[int(settings.false_alarm_rate * settings.replicates)])
    total = sums.sum(axis=(0, 1)), counts.sum(axis=(0, 1))
    names = list(layout.buckets)
    return Calibration(
        policy_version=policy_version,
        settings=settings,
        buckets=layout.buckets,
        monitors={
            names[number]: MonitorThreshold(
                threshold=max(_quantile(statistics[:, :, place], level), MONITORS[number].matters),
                users=float(users[number]),
                reference=tuple(_mean_of(number, *total, layout).tolist()),
            )
            for place, number in enumerate(known)
        },
        level=level,
        simulated_rate=float((rarest < level).mean()),
        seed=seed,
    )


def _block_sums(
    reference: Sequence[UserMeans], layout: Layout, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sums over the users of each block and window.

    Returns:
        `(windows, blocks, layout.width)` sums of the values, `(windows, blocks, monitors)` users that have one.
    """
    everybody = np.unique(np.concatenate([window.users for window in reference]))
    blocks = min(BLOCKS, len(everybody))
    block_of = random.permutation(len(everybody)) % blocks
    firsts = [columns.start for columns in layout.columns]
    sums = np.zeros((len(reference), blocks, layout.width), dtype=np.float32)
    counts = np.zeros((len(reference), blocks, len(firsts)), dtype=np.float32)
    for number, window in enumerate(reference):
        rows = block_of[np.searchsorted(everybody, window.users)]
        np.add.at(sums[number], rows, np.nan_to_num(window.values))
        np.add.at(counts[number], rows, ~np.isnan(window.values[:, firsts]))
    return sums, counts


def _mean_of(number: int, sums: NDArray[np.float32], counts: NDArray[np.float32], layout: Layout) -> Array:
    """A monitor's mean from `(..., layout.width)` sums and `(..., monitors)` counts; NaN where it knows nobody."""
    users = counts[..., number, None].astype(np.float64)
    mean: Array = sums[..., layout.columns[number]] / np.where(users == 0, np.nan, users)
    return mean


def _simulate(
    sums: NDArray[np.float32],
    counts: NDArray[np.float32],
    layout: Layout,
    known: Sequence[int],
    replicates: int,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """`(replicates, windows, len(known))` statistics between drawn windows and drawn references, of known monitors."""
    drawn, again = _draws(replicates, sums.shape[1], random), _draws(replicates, sums.shape[1], random)
    reference = drawn @ sums.sum(axis=0), drawn @ counts.sum(axis=0)
    current = np.stack([again @ window for window in sums], 1), np.stack([again @ window for window in counts], 1)
    windows = sums.sum(axis=1), counts.sum(axis=1)
    total = sums.sum(axis=(0, 1)), counts.sum(axis=(0, 1))
    statistics = np.empty((replicates, len(sums), len(known)), dtype=np.float32)
    for place, number in enumerate(known):
        drawn_mean = _mean_of(number, *current, layout)
        deviation = _mean_of(number, *windows, layout) - _mean_of(number, *total, layout)
        drawn_mean -= (1.0 - _kept_share(drawn_mean, deviation)) * deviation
        distance = MONITORS[number].statistic(_mean_of(number, *reference, layout)[:, None], drawn_mean)
        # As `MonitorThreshold.at`, which then is right for windows of fewer users too.
        scale = np.sqrt(np.minimum(1.0, current[1][..., number] / windows[1][:, number].mean()))
        statistics[..., place] = distance * scale
    return statistics


def _draws(replicates: int, blocks: int, random: np.random.Generator) -> NDArray[np.float32]:
    """`(replicates, blocks)`: how often each block is drawn."""
    drawn = random.integers(blocks, size=(replicates, blocks)) + blocks * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float32)


def _kept_share(current: Array, deviation: Array) -> float:
    """By what the windows' deviations from the reference are multiplied to leave what drawn users do not explain.

    Args:
        current: `(replicates, windows, width)` drawn means.
        deviation: `(windows, width)` the windows' means minus the reference's.
    """
    there = ~np.isnan(deviation[:, 0])
    current, deviation = current[:, there], deviation[there]
    windows = len(deviation)
    if windows < 2:
        return 1.0
    chance = np.nanvar(current - np.nanmean(current, axis=1, keepdims=True), axis=0).sum()
    seen = (deviation**2).sum()
    unexplained = max(0.0, 1.0 - float(chance / seen)) if seen > 0 else 0.0
    return math.sqrt(unexplained * (windows + 1) / (windows - 1))


def _chances(statistics: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of the simulated windows whose statistic is as large or larger, for each; 1 where there is none.

    Shape as `statistics`, `(replicates, windows, monitors)`.
    """
    chances = np.ones_like(statistics)
    for number in range(statistics.shape[2]):
        values = statistics[:, :, number]
        sane = np.sort(values[~np.isnan(values)])
        below = np.searchsorted(sane, values, side="left")
        chances[:, :, number] = np.where(np.isnan(values), 1.0, (len(sane) - below) / max(1, len(sane)))
    return chances


def _rarest_alarms(
    chances: NDArray[np.float32], settings: CalibrationSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """`(replicates,)`: the level above which a simulated period has an alarm of any monitor.

    A window that closes `of` windows alarms where the `needed`-th smallest of their chances is below the level.
    """
    replicates, windows, _ = chances.shape
    length = settings.period_windows + settings.of - 1
    order = (random.integers(windows, size=(replicates, 1)) + np.arange(length)) % windows
    periods = np.take_along_axis(chances, order[:, :, None], axis=1)
    runs = sliding_window_view(periods, settings.of, axis=1)
    decisive = np.partition(runs, settings.needed - 1, axis=-1)[..., settings.needed - 1]
    rarest: NDArray[np.float32] = decisive.min(axis=(1, 2))
    return rarest


def _quantile(statistics: NDArray[np.float32], level: float) -> float:
    """The value that a share below `level` of the statistics exceeds."""
    values = np.sort(statistics[~np.isnan(statistics)])[::-1]
    return float(values[min(len(values), math.ceil(level * len(values))) - 1])
