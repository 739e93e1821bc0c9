"""MovieLens-100K as a shop: what it knew when the champion was trained, and what its users do afterwards.

Nothing is invented but the calendar. Each user's events keep their order; the first part of them is the past, the rest
is what the user takes on later visits, one event at a visit. Three things are kept back until the shift: the most
watched films of the data's last full year with all their events, one user in six, and the wish for one genre.

Time is short here: a day lasts seconds. The past is squeezed into the half hour before the start, so that ages of
histories mean the same to the monitors throughout.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from gream import columns
from gream.data.catalog import Catalog
from gream.data.filtering import k_core

PAST_SHARE: Final = 0.6
PAST_SECONDS: Final = 1_800
NEW_FILMS: Final = 40
NEW_YEAR: Final = "(1997)"
NEWCOMER_SHARE: Final = 1 / 6
GENRE: Final = "Horror"


@dataclass(frozen=True)
class Shift:
    """What changes.

    Attributes:
        new_films: share of the visits that end with a film which is new to the shop, where the user has one.
        genre: share that end with the user's next film of `GENRE`, where there is one.
        newcomers: share that are made by users of whom the shop knows nothing.
    """

    new_films: float = 0.5
    genre: float = 0.25
    newcomers: float = 0.3


class World:
    """A shop's past as catalogs, and its users' future.

    Attributes:
        past: what the first champion is trained on.
        grown: the same interactions, and an item table with the new films.
    """

    def __init__(self, data: Catalog, start: int, seed: int) -> None:
        """Args:
        data: MovieLens-100K.
        start: seconds since 1970 (UTC); the past ends there.
        seed: of whom the newcomers are, and of every choice afterwards.
        """
        self._random = np.random.default_rng(seed)
        new = set(_new_films(data))
        sequences = data.sequences()
        users = list(sequences)
        newcomers = set(self._random.permutation(users)[: round(NEWCOMER_SHARE * len(users))].tolist())
        known = data.interactions.filter(~pl.col(columns.ITEM).is_in(list(new)))
        place = pl.int_range(pl.len()).over(columns.USER) / pl.len().over(columns.USER)
        past = known.filter(~pl.col(columns.USER).is_in(list(newcomers))).filter(place < PAST_SHARE)
        past = k_core(past, 3)
        kept = set(past[columns.ITEM].unique())
        facts = data.facts.model_copy(update={"dataset": "movielens-100k, the past"})
        items = data.items.filter(pl.col(columns.ITEM).is_in(list(kept)))
        self.past = Catalog(_squeezed(past, start), items, facts)
        films = data.items.filter(pl.col(columns.ITEM).is_in(list(new)))
        self.grown = replace(self.past, items=pl.concat([items, films]))
        self._genre = set(data.items.filter(pl.col(columns.CATEGORIES).list.contains(GENRE))[columns.ITEM])
        seen = {user: set(films) for user, films in self.past.sequences().items()}
        self._regulars = [user for user in users if user in seen]
        self._newcomers = sorted(newcomers)
        self._future = {
            user: deque(item for item in sequences[user] if item in kept and item not in seen.get(user, ()))
            for user in [*self._regulars, *self._newcomers]
        }
        self._new = {user: deque(item for item in items if item in new) for user, items in sequences.items()}

    def visitors(self, count: int, shift: Shift | None) -> list[str]:
        """Users who come on one day, each once, while they still have something to take."""
        newcomers = round(count * shift.newcomers) if shift else 0
        return [*self._draw(self._newcomers, newcomers), *self._draw(self._regulars, count - newcomers)]

    def take(self, user: str, shift: Shift | None) -> str:
        """What a visitor takes next; it is gone from their future then."""
        chance = self._random.random()
        if shift and self._new[user] and chance < shift.new_films:
            return self._new[user].popleft()
        future = self._future[user]
        if shift and chance > 1.0 - shift.genre:
            wanted = next((item for item in future if item in self._genre), None)
            if wanted is not None:
                future.remove(wanted)
                return wanted
        return future.popleft()

    def _draw(self, users: Iterable[str], count: int) -> list[str]:
        able = [user for user in users if self._future[user]]
        return self._random.permutation(able)[:count].tolist()


def _new_films(data: Catalog) -> list[str]:
    """The most watched films of the last full year."""
    of_year = data.items.filter(pl.col(columns.TITLE).str.ends_with(NEW_YEAR)).select(columns.ITEM)
    counted = data.interactions.join(of_year, columns.ITEM).group_by(columns.ITEM).len("count")
    return counted.sort("count", columns.ITEM, descending=[True, False])[columns.ITEM].head(NEW_FILMS).to_list()


def _squeezed(events: pl.DataFrame, end: int) -> pl.DataFrame:
    """The same events in the same order, in the last `PAST_SECONDS` before `end`."""
    time = pl.col(columns.TIMESTAMP)
    share = (time - time.min()) / (time.max() - time.min())
    return events.with_columns(
        (end - PAST_SECONDS + share * (PAST_SECONDS - 1)).cast(pl.Int64).alias(columns.TIMESTAMP)
    )
