"""Collision audit: how well the codes alone, before the ordinal, tell items apart (paper, section 3.1).

The paper claims about half the collisions of a title-only index, and a rate below 5%. Items with minimal metadata are
looked at separately: they are where texts, and so codes, resemble each other most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from gream import columns
from gream.data.catalog import Catalog
from gream.errors import DataError

MINIMAL_PROFILE_CHARACTERS = 60
"""A profile shorter than this holds hardly more than a title."""


@dataclass(frozen=True)
class LevelUsage:
    """One level of codes: codebook `size`, codes `used`, and `perplexity` (the size of an evenly used codebook)."""

    size: int
    used: int
    perplexity: float


@dataclass(frozen=True)
class CollisionAudit:
    """Attributes:
    items: number of items.
    collision_rate: share of items that share all codes with another item.
    distinct_share: distinct code paths as a share of the items.
    title_only_collision_rate: of an index of the same size that sees the titles and nothing else; None where none was
        built to compare with, as for an index that stands already.
    minimal_items: items with minimal metadata (`minimal_metadata`).
    minimal_collision_rate: share of those that collide with any item; None where there are none.
    minimal_title_only_collision_rate: the same in the title-only index.
    levels: use of each codebook.
    """

    items: int
    collision_rate: float
    distinct_share: float
    title_only_collision_rate: float | None
    minimal_items: int
    minimal_collision_rate: float | None
    minimal_title_only_collision_rate: float | None
    levels: tuple[LevelUsage, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return asdict(self)


def colliding(codes: np.ndarray) -> np.ndarray:
    """`(n,)` bool: whether an item shares its whole row of `codes` `(n, H)` with another.

    Raises:
        DataError: `codes` is not a non-empty matrix.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.size == 0:
        raise DataError(f"codes must be a non-empty matrix (items, levels), got the shape {codes.shape}.")
    _, group, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    shared: np.ndarray = sizes[group] > 1
    return shared


def collision_rate(codes: np.ndarray) -> float:
    """Share of items that share all their codes `(n, H)` with another item.

    >>> collision_rate(np.array([[0, 1], [0, 1], [0, 2], [1, 1]]))
    0.5
    """
    return float(colliding(codes).mean())


def minimal_metadata(items: pl.DataFrame, profile_texts: Mapping[str, str]) -> np.ndarray:
    """`(n,)` bool: items of a catalogue's table of which little is known.

    Either description and categories are both empty, or the profile is shorter than `MINIMAL_PROFILE_CHARACTERS`.
    """
    bare = items.select(
        (pl.col(columns.DESCRIPTION).str.strip_chars() == "") & (pl.col(columns.CATEGORIES).list.len() == 0)
    ).to_series()
    short = [len(profile_texts.get(item, "").strip()) < MINIMAL_PROFILE_CHARACTERS for item in items[columns.ITEM]]
    flags: np.ndarray = bare.fill_null(True).to_numpy() | np.array(short, dtype=bool)
    return flags


def level_usage(codes: np.ndarray, level_sizes: Sequence[int]) -> tuple[LevelUsage, ...]:
    """Use of each level's codebook by `codes` `(n, H)`.

    >>> level_usage(np.array([[0], [0], [1], [1]]), [4])
    (LevelUsage(size=4, used=2, perplexity=2.0),)
    """
    usage = []
    for level, size in enumerate(level_sizes):
        counts = np.bincount(codes[:, level], minlength=size)
        shares = counts[counts > 0] / counts.sum()
        entropy = -float((shares * np.log2(shares)).sum())
        usage.append(LevelUsage(size=size, used=len(shares), perplexity=round(2.0**entropy, 3)))
    return tuple(usage)


def audit_collisions(
    codes: np.ndarray, title_only_codes: np.ndarray | None, minimal: np.ndarray, level_sizes: Sequence[int]
) -> CollisionAudit:
    """Audit an index before its ordinals.

    Args:
        codes: `(n, H)`.
        title_only_codes: `(n, H)` of the index to compare with; None where there is none.
        minimal: `(n,)` bool, items with minimal metadata.
        level_sizes: K of each level.
    """
    shared = colliding(codes)
    title_shared = None if title_only_codes is None else colliding(title_only_codes)
    some = bool(minimal.any())
    return CollisionAudit(
        items=len(codes),
        collision_rate=float(shared.mean()),
        distinct_share=len(np.unique(codes, axis=0)) / len(codes),
        title_only_collision_rate=None if title_shared is None else float(title_shared.mean()),
        minimal_items=int(minimal.sum()),
        minimal_collision_rate=float(shared[minimal].mean()) if some else None,
        minimal_title_only_collision_rate=None
        if title_shared is None or not some
        else float(title_shared[minimal].mean()),
        levels=level_usage(codes, level_sizes),
    )


def audit_catalogue(
    item_ids: Sequence[str],
    codes: np.ndarray,
    level_sizes: Sequence[int],
    catalog: Catalog,
    profile_texts: Mapping[str, str],
) -> CollisionAudit:
    """Audit what an index that stands already makes of a catalogue's items; it may hold others too.

    Args:
        item_ids: of the index, all items of the catalogue among them.
        codes: `(len(item_ids), H)`.
        level_sizes: K of each level.
        catalog: only its items are used.
        profile_texts: profile of each item.
    """
    row = {item: place for place, item in enumerate(item_ids)}
    own = codes[[row[item] for item in catalog.item_ids]]
    return audit_collisions(own, None, minimal_metadata(catalog.items, profile_texts), level_sizes)
