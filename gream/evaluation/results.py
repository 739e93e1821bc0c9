"""`metrics.json`: what a run measured, in one typed file that other people's scripts read."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gream.artifacts import write_text_atomic
from gream.errors import ArtifactError
from gream.evaluation.metrics import Interval

Intervals = dict[str, Interval]
"""Metric name (`recall@10`, `ndcg@5`, `pass@10`, ...) -> mean over users with its interval."""
BaselineName = Literal["popularity", "item_knn", "transitions", "sasrec"]


class Part(BaseModel):
    """Base of the file's parts: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EvaluationProtocol(Part):
    """How the numbers came about; stated with every table."""

    exclude_seen: bool
    """Whether items of a user's history are taken out of that user's ranking, for every system alike."""
    users: int
    """Test users that every system was measured on."""
    reasoning_users: int | None = None
    """Those of them whom reasoning was measured on; None in a file of before this was noted."""
    items: int
    """Size of the catalogue; every ranking is over all of it."""
    beams: int
    chains: int
    """Sampled chains, so answers, for each user in reasoning mode."""
    confidence: float = 0.95
    resamples: int


class TwoModes(Part):
    """One policy in its two modes."""

    direct: Intervals
    reasoning: Intervals


class IndexSummary(BaseModel):
    """The collision audit, taken on the codes before the ordinal token; further entries of the audit are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    collision_rate: float
    """Share of items that share all their codes with another item."""
    title_only_collision_rate: float | None = None
    """The same in an index that sees titles alone; None where none was made to compare with."""
    minimal_items: int | None = None
    """Items with minimal metadata."""
    minimal_collision_rate: float | None = None
    minimal_title_only_collision_rate: float | None = None


class Signs(Part):
    """Shares in which the paper's failure signs show; None where a run has no such thing to measure."""

    chains_off_history: float | None = None
    """Sampled chains that cite no item, or an item that the history does not hold."""
    aided_chains: float | None = None
    """How likely a sampled chain would have left its history, had the decoder let it, on average."""
    unfinished_chains: float | None = None
    """Sampled chains that ran into the length limit."""
    zero_variance_groups: float | None = None
    """SRPO groups whose answers all had the same reward, on average over the steps."""


class Metrics(Part):
    """The file. `direct` and `reasoning` are of the final policy, `sft` of the one that SRPO started from."""

    dataset: str
    profile: str
    seed: int
    protocol: EvaluationProtocol
    direct: Intervals
    reasoning: Intervals
    sft: TwoModes
    without_prior: Intervals | None = None
    """Direct mode of the final policy without the prior of its search; None where it has none."""
    baselines: dict[BaselineName, Intervals]
    comparisons: dict[str, Intervals]
    """Paired differences over users, `A_vs_B` -> metric -> A minus B; see `gream.evaluation.user_values`. Those with
    the SFT start are left out where SRPO did not run."""
    legal_item_share: float = Field(ge=0.0, le=1.0)
    index: IndexSummary
    signs: Signs = Signs()
    seconds: dict[str, float]
    """Stage -> seconds that it took when it was really run."""

    @property
    def reinforced(self) -> bool:
        """Whether SRPO ran: where it did not, the policy is its SFT start, and is not compared with it."""
        return "direct_vs_sft" in self.comparisons

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_text_atomic(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Metrics":
        """Read the file.

        Raises:
            ArtifactError: no such file, or it is not of this shape.
        """
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist: run the evaluation first.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise ArtifactError(f"{path} is not a metrics file of this version: {where}: {first['msg']}.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} is not a metrics file: {error}.") from error
