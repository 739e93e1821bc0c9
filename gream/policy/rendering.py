"""Reasoning chains for people: the index tokens that a chain cites, replaced by titles."""

from collections.abc import Mapping

from gream.indexing.tokens import CODE_LETTERS, TOKEN_PATTERN

LONGEST = len(CODE_LETTERS) + 1
"""Tokens of an item at most: one for each level, and an ordinal."""


def render_chain(chain: str, titles: Mapping[tuple[str, ...], str]) -> str:
    """Replace every complete item index in a text by its title in brackets; other index tokens stay as they are.

    Args:
        chain: a text with index tokens.
        titles: title of each item by its index tokens.

    >>> render_chain("liked <|a_1|><|b_2|><|a_3|>", {("<|a_1|>", "<|b_2|>"): "Alien (1979)"})
    'liked [Alien (1979)]<|a_3|>'
    """
    matches = list(TOKEN_PATTERN.finditer(chain))
    pieces: list[str] = []
    done = place = 0
    while place < len(matches):
        run = _adjacent([match.span() for match in matches[place : place + LONGEST]])
        tokens = tuple(match.group(0) for match in matches[place : place + run])
        length = next((n for n in range(1, run + 1) if tokens[:n] in titles), 0)
        if length:
            pieces += [chain[done : matches[place].start()], f"[{titles[tokens[:length]]}]"]
            done = matches[place + length - 1].end()
        place += max(length, 1)
    return "".join([*pieces, chain[done:]])


def _adjacent(spans: list[tuple[int, int]]) -> int:
    """How many of the spans follow the first one without a gap, itself included."""
    return next((n for n in range(1, len(spans)) if spans[n][0] != spans[n - 1][1]), len(spans))
