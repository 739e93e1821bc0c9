"""From titles as people type them to item ids."""

import difflib
import re
from collections import defaultdict
from collections.abc import Sequence

import polars as pl

from gream import columns
from gream.errors import RequestError

_YEAR = re.compile(r" \(\d{4}\)$")
_INVERTED = re.compile(r"^(?P<name>.+), (?P<article>the|a|an)(?P<year> \(\d{4}\))?$")


def resolve_titles(items: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """The item id of each name: a title in any case, with its article in front or behind, or an item id.

    Args:
        items: the items table.
        names: what was typed.

    Raises:
        RequestError: a name is not in the catalogue (the message has the nearest titles), or belongs to several items.
    """
    by_title: dict[str, list[str]] = defaultdict(list)
    titles: dict[str, str] = {}
    for item_id, title in zip(items[columns.ITEM], items[columns.TITLE], strict=True):
        key = _normalise(title)
        by_title[key].append(item_id)
        titles.setdefault(key, title)
    known = set(items[columns.ITEM])
    return [_resolve(name, by_title, titles, known) for name in names]


def _resolve(name: str, by_title: dict[str, list[str]], titles: dict[str, str], known: set[str]) -> str:
    key = _normalise(name)
    found = by_title.get(key, [])
    if len(found) == 1:
        return found[0]
    if name in known:
        return name
    if found:
        raise RequestError(f"{name!r} is the title of {len(found)} items; give one of their ids: {', '.join(found)}.")
    # Compared without the year: it makes any two films of a decade look alike.
    bare = {_YEAR.sub("", other): title for other, title in titles.items()}
    near = [bare[match] for match in difflib.get_close_matches(_YEAR.sub("", key), bare, n=3)]
    hint = f" The nearest titles are {', '.join(map(repr, near))}." if near else ""
    raise RequestError(f"no item is called {name!r}.{hint}")


def _normalise(title: str) -> str:
    """Lower case, single spaces, article in front.

    >>> _normalise("Empire Strikes Back, The (1980)") == _normalise("the empire  strikes back (1980)")
    True
    """
    text = " ".join(title.casefold().split())
    if inverted := _INVERTED.match(text):
        return f"{inverted['article']} {inverted['name']}{inverted['year'] or ''}"
    return text
