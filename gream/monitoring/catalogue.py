"""What is counted instead of sampled: the catalogue now, beside the one that the champion serves.

A catalogue is known whole, so there is no chance in these numbers and no false-alarm rate: each has a fixed limit.
"""

from collections.abc import Set
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from gream import columns
from gream.errors import DataError
from gream.indexing.audit import collision_rate, minimal_metadata
from gream.indexing.collision_limit import collisions_allowed

NEW_ITEMS: Final = "new_items"
COLLISIONS: Final = "collisions"
BARE_TEXTS: Final = "bare_texts"


class CatalogueLimits(BaseModel):
    """From which share on a count alarms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    new_items: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    collisions: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    bare_texts: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25


class CountResult(BaseModel):
    """One count: `value` is a share, and an alarm from `limit` on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float
    limit: float
    meaning: str

    @property
    def alarm(self) -> bool:
        """Whether the limit is reached."""
        return self.value >= self.limit


def count_catalogue(
    items: pl.DataFrame, served: Set[str], codes: np.ndarray, limits: CatalogueLimits, as_made: float = 0.0
) -> tuple[CountResult, ...]:
    """Look at the catalogue as it is now.

    Args:
        items: its table of items.
        served: ids of the items that the champion can recommend.
        codes: `(n, H)` codes of all items, the new ones by the champion's frozen codebooks; an index that has not been
            extended yet gives those of the served items alone.
        limits: from which on each count alarms.
        as_made: share of colliding items that the index had when it was made, which a new one would have again: see
            `gream.indexing.collision_limit`.

    Returns:
        Share of the items that the champion lacks, of items that share all codes with another, and of the new items
        that say hardly anything of themselves: of as many as are worth a run, where fewer are new.

    Raises:
        DataError: the catalogue has no items, or there are no codes.
    """
    if items.is_empty():
        raise DataError("the catalogue has no items; a champion cannot be compared with it.")
    new = items.filter(~pl.col(columns.ITEM).is_in(list(served)))
    texts = pl.concat_str(
        [columns.TITLE, columns.DESCRIPTION, pl.col(columns.CATEGORIES).list.join(" ")], separator=" "
    )
    profiles = dict(new.select(columns.ITEM, texts).iter_rows())
    bare = minimal_metadata(new, profiles).sum() / max(1.0, new.height, limits.new_items * items.height)
    return (
        CountResult(
            name=NEW_ITEMS,
            value=new.height / items.height,
            limit=limits.new_items,
            meaning="Items of the catalogue that the champion cannot recommend.",
        ),
        CountResult(
            name=COLLISIONS,
            value=collision_rate(codes),
            limit=collisions_allowed(limits.collisions, as_made),
            meaning="Items that share all their codes with another item.",
        ),
        CountResult(
            name=BARE_TEXTS,
            value=float(bare),
            limit=limits.bare_texts,
            meaning="New items of which the catalogue says hardly more than a title.",
        ),
    )
