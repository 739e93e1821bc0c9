"""A shop of any size, simulated under a seed: as many users as items, a dozen events each, texts and text vectors.

Items are more and less popular, and a user keeps to two genres most of the time. The number of genres, the length of
histories and that of texts do not depend on the size: what grows faster than the shop does so by its own doing.
"""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.simulated_vectors import simulated_vectors
from gream import columns
from gream.indexing.vectors import ItemVectors

GENRES: Final = 20
FEWEST_EVENTS, MORE_EVENTS = 6, 7.0
"""Of a user: the least, and what comes on top on average (and one less)."""
TAIL: Final = 0.4
"""An item's events fall with this power of its rank in its genre."""
LOYALTY: Final = 0.8
"""Share of a user's events that lie in the two genres."""
WORDS: Final = 3_000
DESCRIPTION: Final = 25
"""Words of a description."""


def write_shop(folder: Path, size: int) -> None:
    """Write `interactions.parquet` and `items.parquet` of `size` users and about `size` items into a new folder."""
    random = np.random.default_rng(size)
    folder.mkdir(parents=True)
    _events(size, random).write_parquet(folder / "interactions.parquet")
    _items(size, random).write_parquet(folder / "items.parquet")


def text_vectors(items: int) -> ItemVectors:
    """Made-up vectors of titles and profiles."""
    return ItemVectors(*simulated_vectors(items, seed=items, views=2))


def _events(size: int, random: np.random.Generator) -> pl.DataFrame:
    lengths = FEWEST_EVENTS + random.geometric(1 / MORE_EVENTS, size) - 1
    user = np.repeat(np.arange(size), lengths)
    tastes = random.integers(GENRES, size=(size, 2))
    genre = tastes[user, random.integers(2, size=len(user))]
    roaming = random.random(len(user)) > LOYALTY
    genre[roaming] = random.integers(GENRES, size=int(roaming.sum()))
    rank = (size // GENRES * random.random(len(user)) ** (1 / (1 - TAIL))).astype(np.int64)
    gaps = random.integers(60, 86_400, len(user))
    return pl.DataFrame(
        {
            columns.USER: _names("u", user),
            columns.ITEM: _names("i", rank * GENRES + genre),
            columns.TIMESTAMP: 1_600_000_000 + gaps.cumsum() % 100_000_000,
        }
    )


def _items(size: int, random: np.random.Generator) -> pl.DataFrame:
    number = np.arange(size)
    syllables = ["ba", "do", "ka", "li", "mo", "ne", "ru", "sa", "ti", "vo", "xe", "za", "pri", "gle", "stu"]
    words = np.array(["".join(random.choice(syllables, random.integers(2, 5))) for _ in range(WORDS)])

    def sentence(length: int) -> pl.Series:
        chosen = [pl.Series(words[random.integers(WORDS, size=size)]) for _ in range(length)]
        return pl.select(pl.concat_str(chosen, separator=" ")).to_series()

    genre, part = _names("Genre ", number % GENRES), _names("Part ", number % (7 * GENRES))
    return pl.DataFrame(
        {
            columns.ITEM: _names("i", number),
            columns.TITLE: pl.select(pl.concat_str([sentence(3), _names("No. ", number)], separator=" ")).to_series(),
            columns.DESCRIPTION: sentence(DESCRIPTION),
            columns.BRAND: _names("Brand ", number // 50),
            columns.CATEGORIES: pl.select(pl.concat_list(genre, part)).to_series(),
        }
    )


def _names(prefix: str, numbers: NDArray[np.int64]) -> pl.Series:
    return pl.select(pl.format(prefix + "{}", pl.Series(numbers))).to_series()
