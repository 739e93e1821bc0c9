"""The gate's verdict: a typed record that a promotion needs, and that is kept."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gream.artifacts import write_text_atomic
from gream.errors import ArtifactError
from gream.evaluation.metrics import Interval

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Part(BaseModel):
    """Base of the record: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(Part):
    """One thing that was looked at.

    Attributes:
        name: of the check, or of the slice.
        state: `missing` is as bad as `failed`.
        text: a sentence with the numbers.
        users: of a comparison.
        difference: of a comparison: challenger minus champion; its `low` is what is held against the margin.
        limit: what the number is held against.
    """

    name: str
    state: Literal["passed", "failed", "missing"]
    text: str
    users: int | None = None
    difference: Interval | None = None
    limit: float | None = None


class Verdict(Part):
    """What the gate says of a challenger.

    Attributes:
        accepted: whether every check passed.
        champion: digest of the bundle that was compared with.
        challenger: digest of the bundle that was judged.
        at: when, in UTC.
        metric: of the comparisons.
        hold_out_start: time of the hold-out's first event, in seconds since 1970 (UTC).
        hold_out_users: users that both were measured on.
        confidence: that all comparisons hold together.
        checks: every one, whatever came before it.
    """

    accepted: bool
    champion: Digest
    challenger: Digest
    at: datetime
    metric: str
    hold_out_start: int
    hold_out_users: int
    confidence: float
    checks: Annotated[tuple[Check, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def consistent(self) -> "Verdict":
        """Nothing is accepted in spite of a check, also where a file was edited."""
        if self.accepted != all(check.state == "passed" for check in self.checks):
            raise ValueError("accepted does not follow from the checks")
        return self

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is refused, or what it was accepted on."""
        if self.accepted:
            return tuple(check.text for check in self.checks)
        return tuple(check.text for check in self.checks if check.state != "passed")

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        write_text_atomic(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Verdict":
        """Read a record.

        Raises:
            ArtifactError: there is none, or it is not one of this shape.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise ArtifactError(f"{path} is not a verdict of the gate: {reason}.") from error
