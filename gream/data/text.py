"""Shop texts as plain text: no markup, no entities, one line, never null."""

import html
import re
from collections.abc import Iterable

_INVISIBLE = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def clean_text(raw: str) -> str:
    """Plain text of an HTML fragment: tags and scripts go, entities become characters, white space is one space.

    Entities are resolved first because shops escape whole fragments. A lone `<` that opens no tag stays.

    >>> clean_text("Dead&nbsp;Sea<br/>Salt &lt;b&gt;pure&lt;/b&gt;, pH &lt; 6")
    'Dead Sea Salt pure , pH < 6'
    """
    visible = _INVISIBLE.sub(" ", html.unescape(raw))
    return " ".join(_TAG.sub(" ", visible).split())


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
