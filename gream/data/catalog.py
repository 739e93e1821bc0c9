"""The Catalog: a shop's interactions and items as two validated tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from gream import columns
from gream.artifacts import MANIFEST, atomic_folder, open_artifact
from gream.errors import DataError

KIND = "catalog"

INTERACTION_SCHEMA: dict[str, pl.DataType] = {
    columns.USER: pl.String(),
    columns.ITEM: pl.String(),
    columns.TIMESTAMP: pl.Int64(),
}
OPTIONAL_INTERACTION_SCHEMA: dict[str, pl.DataType] = {columns.RATING: pl.Float64(), columns.REVIEW: pl.String()}
ITEM_SCHEMA: dict[str, pl.DataType] = {
    columns.ITEM: pl.String(),
    columns.TITLE: pl.String(),
    columns.DESCRIPTION: pl.String(),
    columns.BRAND: pl.String(),
    columns.CATEGORIES: pl.List(pl.String),
}


class CatalogFacts(BaseModel):
    """What a catalog says of itself in its manifest: first what later stages go by, then where it came from."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    """Short name for tables and reports, e.g. `movielens-100k`."""
    exclude_seen: bool
    """The dataset's evaluation protocol: whether items of the history are taken out of the ranking."""
    ordinal_time: bool = False
    """True where the source has an order but no clock: timestamps are then positions 0, 1, 2, ..."""
    source: str
    """Where the rows came from: a URL, a package, or file names with their SHA-256."""
    skipped: dict[str, int] = {}
    """Rows left out by a documented policy, by reason (`duplicate_event`, `k_core`, ...)."""
    untitled: int = 0
    """Items whose source had no title; they are called `Item <id>`."""


PROTOCOL = {"dataset", "exclude_seen", "ordinal_time"}
"""The facts that later stages go by."""


@dataclass(frozen=True)
class Catalog:
    """Interactions and items.

    Attributes:
        interactions: `INTERACTION_SCHEMA` (+ optional rating, review), sorted by user, then time; events of one user
            with equal timestamps keep the source's order. Timestamps are Unix seconds (or ordinals).
        items: `ITEM_SCHEMA`, one row for each item that may be recommended; texts are never null (empty instead).
        facts: provenance and protocol.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    facts: CatalogFacts

    def __post_init__(self) -> None:
        self._check_columns("interactions", self.interactions, INTERACTION_SCHEMA)
        self._check_columns("items", self.items, ITEM_SCHEMA)
        if self.interactions.is_empty():
            raise DataError(f"catalog {self.facts.dataset!r} has no interactions left after import and filtering.")
        if self.items[columns.ITEM].is_duplicated().any():
            twice = self.items.filter(pl.col(columns.ITEM).is_duplicated())[columns.ITEM][0]
            raise DataError(f"catalog {self.facts.dataset!r}: item {twice!r} appears twice in the items table.")
        unknown = self.interactions.join(self.items, on=columns.ITEM, how="anti")
        if not unknown.is_empty():
            raise DataError(
                f"catalog {self.facts.dataset!r}: item {unknown[columns.ITEM][0]!r} has interactions but no row in the "
                f"items table ({unknown[columns.ITEM].n_unique()} such items)."
            )

    def _check_columns(self, table: str, frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> None:
        for name, dtype in schema.items():
            if frame.schema.get(name) != dtype:
                raise DataError(
                    f"catalog {self.facts.dataset!r}: {table} need a column {name!r} of type {dtype}, "
                    f"found {frame.schema.get(name)}."
                )
            if frame[name].has_nulls():
                row = frame[name].is_null().arg_max()
                raise DataError(f"catalog {self.facts.dataset!r}: row {row} of {table} has no {name!r}.")

    @property
    def item_ids(self) -> list[str]:
        """Item ids in the order of the items table: position i is the item's number in every array of the project."""
        return self.items[columns.ITEM].to_list()

    def sequences(self) -> dict[str, list[str]]:
        """Each user's item ids in time order, users in the order of the table."""
        grouped = self.interactions.group_by(columns.USER, maintain_order=True).agg(pl.col(columns.ITEM))
        return dict(zip(grouped[columns.USER].to_list(), grouped[columns.ITEM].to_list(), strict=True))

    def save(self, path: Path) -> None:
        """Write the catalog as a folder: `interactions.parquet`, `items.parquet`, `manifest.json`."""
        protocol, provenance = self.facts.model_dump(include=PROTOCOL), self.facts.model_dump(exclude=PROTOCOL)
        counts = {
            "interactions": self.interactions.height,
            "users": self.interactions[columns.USER].n_unique(),
            "items": self.items.height,
        }
        with atomic_folder(path, KIND, content=protocol, facts=provenance, counts=counts) as folder:
            self.interactions.write_parquet(folder / "interactions.parquet")
            self.items.write_parquet(folder / "items.parquet")

    @classmethod
    def load(cls, path: Path) -> "Catalog":
        """Read a catalog folder.

        Raises:
            ArtifactError: `path` is not a complete catalog.
        """
        manifest = open_artifact(path, KIND)
        facts = CatalogFacts.model_validate(manifest["content"] | manifest["facts"])
        return cls(
            interactions=pl.read_parquet(path / "interactions.parquet"),
            items=pl.read_parquet(path / "items.parquet"),
            facts=facts,
        )


def is_catalog(path: Path) -> bool:
    """Whether a complete catalog stands at `path`."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        return False
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:  # somebody else's manifest.json
        return False
    return isinstance(facts, dict) and facts.get("kind") == KIND
