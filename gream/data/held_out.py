"""What a retraining keeps from training, as an artifact: one case for each user, for the gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from gream import columns
from gream.artifacts import atomic_folder, open_artifact
from gream.errors import DataError

KIND: Final = "hold_out"
HISTORY: Final = "history"
SCHEMA: Final[Mapping[str, pl.DataType]] = {
    columns.USER: pl.String(),
    HISTORY: pl.List(pl.String()),
    columns.ITEM: pl.String(),
    columns.TIMESTAMP: pl.Int64(),
}


@dataclass(frozen=True)
class HeldOut:
    """Attributes:
    cases: `SCHEMA`, a row for each user: the items before the cut, oldest first, and the first event after it.
    """

    cases: pl.DataFrame

    def __post_init__(self) -> None:
        if dict(self.cases.schema) != dict(SCHEMA):
            raise DataError(f"a hold-out needs the columns {dict(SCHEMA)}, found {dict(self.cases.schema)}.")
        if self.cases.is_empty() or self.cases[columns.USER].is_duplicated().any():
            raise DataError("a hold-out needs users, each of them once.")

    def save(self, path: Path) -> None:
        """Write a folder: `cases.parquet`, `manifest.json`."""
        with atomic_folder(path, KIND, users=self.cases.height) as folder:
            self.cases.write_parquet(folder / "cases.parquet")

    @classmethod
    def load(cls, path: Path) -> "HeldOut":
        """Read a folder.

        Raises:
            ArtifactError: `path` is not a complete hold-out.
        """
        open_artifact(path, KIND)
        return cls(pl.read_parquet(path / "cases.parquet"))
