"""A small cinema: eight films, an index of two levels, and the corpora's view of them."""

import polars as pl

from gream.corpora.items import read_items
from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts

FILMS = [
    ("alien", "Alien (1979)", ["Horror", "Sci-Fi"], "Fox"),
    ("blade", "Blade Runner (1982)", ["Sci-Fi"], "Ladd"),
    ("thing", "Thing, The (1982)", ["Horror", "Sci-Fi"], "Ladd"),
    ("annie", "Annie Hall (1977)", ["Comedy", "Romance"], "Fox"),
    ("crime", "Crime (1996)", ["Crime", "Drama"], ""),
    ("heat", "Heat (1995)", ["Crime", "Drama"], ""),
    ("fargo", "Fargo (1996)", ["Crime", "Comedy"], ""),
    ("raiders", "Indiana Jones and the Temple of Doom, Special Edition (1984)", ["Adventure"], ""),
]


class LetterIndex:
    """Item n of the catalogue is `<|a_(n//2+1)|><|b_(n%2+1)|>`."""

    def __init__(self, item_ids):
        self.number = {item: n for n, item in enumerate(item_ids)}

    def encode(self, item_ids):
        return [(f"<|a_{self.number[i] // 2 + 1}|>", f"<|b_{self.number[i] % 2 + 1}|>") for i in item_ids]


def make_catalog(rows, sequences=None):
    items = pl.DataFrame([(i, t, "", b, c) for i, t, c, b in rows], schema=ITEM_SCHEMA, orient="row")
    events = [
        (user, item, time)
        for user, sequence in (sequences or {"u": [rows[0][0]]}).items()
        for time, item in enumerate(sequence)
    ]
    schema = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}
    interactions = pl.DataFrame(events, schema=schema, orient="row")
    return Catalog(interactions, items, CatalogFacts(dataset="cinema", source="made up", exclude_seen=True))


def profiles_of(catalog):
    return {row["item_id"]: f"A film called {row['title']}." for row in catalog.items.iter_rows(named=True)}


def cinema():
    catalog = make_catalog(FILMS)
    return read_items(catalog, profiles_of(catalog), LetterIndex(catalog.item_ids))
