"""Item profiles on disk: one text for each item, and where it came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from gream import columns
from gream.artifacts import atomic_folder, open_artifact
from gream.enrichment.accounting import Usage
from gream.errors import DataError

KIND: Final = "item_profiles"
LLM: Final = "llm"
TEMPLATE: Final = "template"
SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    columns.ITEM: pl.String,
    columns.PROFILE: pl.String,
    columns.SOURCE: pl.Enum([LLM, TEMPLATE]),
}


class ProfileFacts(BaseModel):
    """What a set of profiles says of itself in its manifest."""

    model_config = ConfigDict(extra="forbid")

    backend: Literal["template", "openai"]
    model: str
    """Model that wrote the `llm` profiles; empty for the template backend."""
    prompts_version: int
    usage: Usage
    """Of the run that wrote this artifact; what earlier, killed runs paid for is in its `cached` entries."""


@dataclass(frozen=True)
class ItemProfiles:
    """One profile for each item.

    Attributes:
        frame: columns `SCHEMA`, in the order of the catalog's items; `source` tells who wrote the profile.
        facts: provenance and accounts.
    """

    frame: pl.DataFrame
    facts: ProfileFacts

    def __post_init__(self) -> None:
        if dict(self.frame.schema) != SCHEMA:
            raise DataError(f"item profiles need the columns {SCHEMA}, found {dict(self.frame.schema)}.")
        blank = self.frame.filter(pl.col(columns.PROFILE).fill_null("").str.strip_chars() == "")
        if not blank.is_empty():
            raise DataError(f"item profiles: item {blank[columns.ITEM][0]!r} has an empty profile.")
        if self.frame[columns.ITEM].is_duplicated().any():
            twice = self.frame.filter(pl.col(columns.ITEM).is_duplicated())[columns.ITEM][0]
            raise DataError(f"item profiles: item {twice!r} appears twice.")

    @property
    def texts(self) -> dict[str, str]:
        """Profile by item id, in the order of the catalog's items."""
        return dict(zip(self.frame[columns.ITEM], self.frame[columns.PROFILE], strict=True))

    @classmethod
    def join(cls, shares: Sequence["ItemProfiles"]) -> "ItemProfiles":
        """The profiles of all shares, one after another, and what they used together.

        Raises:
            DataError: an item is in two of them.
        """
        usage = sum((share.facts.usage for share in shares), Usage())
        return cls(
            frame=pl.concat([share.frame for share in shares], rechunk=True),
            facts=shares[0].facts.model_copy(update={"usage": usage}),
        )

    def save(self, path: Path) -> None:
        """Write the profiles as a folder: `profiles.parquet`, `manifest.json`."""
        counts = {source: self.frame.filter(pl.col(columns.SOURCE) == source).height for source in (LLM, TEMPLATE)}
        with atomic_folder(path, KIND, facts=self.facts.model_dump(), counts=counts) as folder:
            self.frame.write_parquet(folder / "profiles.parquet")

    @classmethod
    def load(cls, path: Path) -> "ItemProfiles":
        """Read a folder of profiles.

        Raises:
            ArtifactError: `path` is not a complete set of item profiles.
        """
        facts = ProfileFacts.model_validate(open_artifact(path, KIND)["facts"])
        return cls(frame=pl.read_parquet(path / "profiles.parquet"), facts=facts)
