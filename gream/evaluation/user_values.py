"""One number for each user, system and metric: what intervals and paired comparisons are made from.

The table is kept beside the metrics, so that a later run (a challenger, an ablation) can be compared with this one user
by user, which is far sharper than comparing two intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from gream import columns
from gream.errors import ArtifactError, ConfigError
from gream.evaluation.metrics import bootstrap_interval, paired_bootstrap
from gream.evaluation.results import Intervals

DIRECT: Final = "direct"
REASONING: Final = "reasoning"
SFT_DIRECT: Final = "sft_direct"
SFT_REASONING: Final = "sft_reasoning"
WITHOUT_PRIOR: Final = "without_prior"
"""Direct mode without the prior of the policy's search."""
SEPARATOR: Final = "/"

Values = Mapping[str, np.ndarray]
"""Metric name -> `(n_users,)` values."""


@dataclass(frozen=True)
class UserValues:
    """Attributes:
    users: user ids; the order of every array.
    systems: system name -> metric -> `(n_users,)` float64, NaN for users on whom the system was not measured.
    """

    users: list[str]
    systems: dict[str, dict[str, np.ndarray]]

    def __post_init__(self) -> None:
        for system, values in self.systems.items():
            for metric, array in values.items():
                if array.shape != (len(self.users),):
                    raise ConfigError(
                        f"{system} {metric}: one value for each of {len(self.users)} users is needed, got an array of "
                        f"shape {array.shape}."
                    )

    def intervals(self, system: str, resamples: int, seed: int = 0) -> Intervals:
        """Every metric of a system: its mean over the measured users and 95% interval."""
        return {
            metric: bootstrap_interval(values[~np.isnan(values)], resamples=resamples, seed=seed)
            for metric, values in self.systems[system].items()
        }

    def difference(self, a: str, b: str, resamples: int, seed: int = 0) -> Intervals:
        """Every metric that both systems have: `a` minus `b` over users measured on both, with its 95% interval."""
        first, second = self.systems[a], self.systems[b]
        differences = {}
        for metric in (name for name in first if name in second):
            both = ~np.isnan(first[metric]) & ~np.isnan(second[metric])
            differences[metric] = paired_bootstrap(
                first[metric][both], second[metric][both], resamples=resamples, seed=seed
            )
        return differences

    def comparisons(self, resamples: int, seed: int = 0) -> dict[str, Intervals]:
        """The comparisons that a run reports.

        Returns:
            `direct_vs_BASELINE` for each baseline, `direct_vs_without_prior` (what the prior changed) where there is a
            prior, `direct_vs_sft`, `reasoning_vs_sft` (what SRPO changed), and `reasoning_vs_direct`; see `difference`.
        """
        modes = (DIRECT, REASONING, SFT_DIRECT, SFT_REASONING)
        pairs = {f"{DIRECT}_vs_{system}": (DIRECT, system) for system in self.systems if system not in modes}
        pairs |= {
            "direct_vs_sft": (DIRECT, SFT_DIRECT),
            "reasoning_vs_sft": (REASONING, SFT_REASONING),
            "reasoning_vs_direct": (REASONING, DIRECT),
        }
        return {name: self.difference(a, b, resamples, seed) for name, (a, b) in pairs.items()}

    def save(self, path: Path) -> None:
        """Write the table as Parquet: the user's id and a column `SYSTEM/METRIC` for each array."""
        arrays = {
            f"{system}{SEPARATOR}{metric}": array
            for system, values in self.systems.items()
            for metric, array in values.items()
        }
        pl.DataFrame({columns.USER: self.users, **arrays}).write_parquet(path)

    @classmethod
    def load(cls, path: Path) -> "UserValues":
        """Read what `save` wrote.

        Raises:
            ArtifactError: no such file.
        """
        if not path.is_file():
            raise ArtifactError(f"{path} does not exist: run the evaluation first.")
        table = pl.read_parquet(path)
        systems: dict[str, dict[str, np.ndarray]] = {}
        for name in table.columns:
            if name != columns.USER:
                system, _, metric = name.partition(SEPARATOR)
                systems.setdefault(system, {})[metric] = table[name].to_numpy()
        return cls(table[columns.USER].to_list(), systems)
