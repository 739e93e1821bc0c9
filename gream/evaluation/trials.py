"""One variant of an experiment under one seed, as far as it is compared with others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from gream.artifacts import atomic_folder, open_artifact
from gream.evaluation.user_values import UserValues

KIND: Final = "trial"
FACTS: Final = "trial.json"
USERS: Final = "users.parquet"
LATE_SHARE: Final = 0.25
"""The end of a training: this share of its entries."""


class TrialFacts(BaseModel):
    """Attributes:
    variant: its name.
    overrides: its settings, each `section.key=value`.
    seed: of the run.
    collision_rate: share of the items that share all their codes.
    training: what SRPO logged, see `training_signs`; empty where it did not run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    overrides: tuple[str, ...]
    seed: int
    collision_rate: float
    training: dict[str, float]


@dataclass(frozen=True)
class Trial:
    """Attributes:
    facts: see there.
    values: of each test user, in all modes.
    """

    facts: TrialFacts
    values: UserValues

    def save(self, path: Path) -> None:
        """Write it as a folder."""
        with atomic_folder(path, KIND, variant=self.facts.variant, seed=self.facts.seed) as folder:
            (folder / FACTS).write_text(self.facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
            self.values.save(folder / USERS)

    @classmethod
    def load(cls, path: Path) -> "Trial":
        """Read it.

        Raises:
            ArtifactError: no complete trial stands there.
        """
        open_artifact(path, KIND)
        facts = TrialFacts.model_validate_json((path / FACTS).read_text(encoding="utf-8"))
        return cls(facts, UserValues.load(path / USERS))


def training_signs(log: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The health of an SRPO training in a few numbers.

    Args:
        log: of the trainer, see `gream.training.groups.statistics`.

    Returns:
        `reward_variance` and `zero_variance_share`, means over all steps; `rho`, `reward`, `entropy` and `kl` (of the
        completions with an advantage) over the last quarter, and `rho_gain`, by how much rho is higher there than in
        the first quarter.
    """
    signs = {}
    for name in ("reward_variance", "zero_variance_share"):
        if values := [entry[name] for entry in log if name in entry]:
            signs[name] = float(np.mean(values))
    for name in ("rho", "reward", "entropy", "kl"):
        if values := [entry[name] for entry in log if name in entry]:
            some = max(1, round(LATE_SHARE * len(values)))
            signs[name] = float(np.mean(values[-some:]))
            if name == "rho":
                signs["rho_gain"] = signs[name] - float(np.mean(values[:some]))
    return signs
