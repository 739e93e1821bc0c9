"""Shop texts as plain text: no markup, no entities, one line, never null."""

import html
import re
from collections.abc import Iterable
from typing import Final

from gream.errors import DataError

_OPENS = re.compile(r"<(?:(script|style)\b|!--)", re.IGNORECASE)
_CLOSES = {
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
    "": re.compile("-->"),
}
"""What ends a script, a style and a comment."""
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""A surrogate without its partner: JSON can spell one, UTF-8 cannot."""

ID_CHARACTERS: Final = 256
"""What serving takes of an id: nobody could ask for what has a longer one, or click on it."""


def clean_text(raw: str) -> str:
    """Plain text of an HTML fragment: tags and scripts go, entities become characters, white space is one space.

    Entities are resolved first because shops escape whole fragments. A lone `<` that opens no tag stays. Half a
    character, as a text cut by its length in UTF-16 has at its end, becomes a replacement character.

    >>> clean_text("Dead&nbsp;Sea<br/>Salt &lt;b&gt;pure&lt;/b&gt;, pH &lt; 6")
    'Dead Sea Salt pure , pH < 6'
    """
    visible = _without_invisible(html.unescape(_HALF_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", raw)))
    return " ".join(_TAG.sub(" ", visible).split())


def _without_invisible(text: str) -> str:
    """A text without scripts, styles and comments; what is opened and never closed stays.

    One expression for all of it would look for an end that is not there again after each of a seller's openings.
    """
    parts, done, place, endless = [], 0, 0, set()
    while (opening := _OPENS.search(text, place)) is not None:
        kind = (opening[1] or "").lower()
        place = opening.end()
        closing = None if kind in endless else _CLOSES[kind].search(text, place)
        if closing is None:
            endless.add(kind)
            continue
        parts.append(text[done : opening.start()])
        done = place = closing.end()
    return " ".join([*parts, text[done:]])


def whole_id(value: object, place: str) -> str:
    """An id from a JSON file, as a text.

    Args:
        value: see `whole_text`.
        place: see `whole_text`.

    Raises:
        DataError: see `whole_text`; or the id is longer than `ID_CHARACTERS`.
    """
    text = whole_text(value, place)
    if len(text) > ID_CHARACTERS:
        raise DataError(f"{place} has {len(text):,} characters; an id has at most {ID_CHARACTERS}. Shorten it.")
    return text


def whole_text(value: object, place: str) -> str:
    """A value from a JSON file, as a text.

    Args:
        value: a text that is not empty, or a whole number.
        place: names it for an error, e.g. `reviews.json.gz line 7: reviewerID`.

    Raises:
        DataError: it is something else, such as null; or it holds half a character, which no table can keep.
    """
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise DataError(f"{place} is {value!r}; a text that is not empty or a whole number is needed.")
    text = str(value)
    if _HALF_CHARACTER.search(text):
        raise DataError(f"{place} is {text!r}, with half a character (a lone surrogate) in it. Correct it.")
    return text


def field_text(value: object) -> str:
    """One clean line from a text field of a dump: a text, a list of paragraphs, or nothing.

    >>> field_text(["Gentle.", "For <i>daily</i> use."]), field_text(None)
    ('Gentle. For daily use.', '')
    """
    if isinstance(value, list):
        return clean_text(" ".join(map(str, value)))
    return clean_text(str(value)) if value is not None else ""


def distinct_names(names: Iterable[str]) -> list[str]:
    """Clean, non-empty names, each once, in order of first appearance.

    >>> distinct_names(["Beauty", "Hair &amp; Nails", "", "Beauty"])
    ['Beauty', 'Hair & Nails']
    """
    return list(dict.fromkeys(name for name in map(clean_text, names) if name))


def flatten_paths(categories: object) -> list[str]:
    """Distinct names of category paths `[[...], ...]`, a plain list `[...]`, or a comma-separated text, in order.

    >>> flatten_paths([["Beauty", "Makeup"], ["Beauty", "Hair"]])
    ['Beauty', 'Makeup', 'Hair']
    >>> flatten_paths("Office,Paper")
    ['Office', 'Paper']
    """
    if categories is None:
        return []
    if isinstance(categories, str):
        return distinct_names(categories.split(","))
    if not isinstance(categories, list):
        raise TypeError(f"categories are {type(categories).__name__}, not a list or a text")
    paths = (path if isinstance(path, list) else [path] for path in categories)
    return distinct_names(str(name) for path in paths for name in path)
