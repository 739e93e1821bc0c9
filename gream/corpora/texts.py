"""User preferences and search intents, as text made of the items' own words."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gream.corpora.checks import mentions_title
from gream.corpora.items import Item, dominant_traits

PREFERENCE_CATEGORIES = 3
INTENT_CATEGORIES = 2
INTENT_TITLE_WORDS = 2
_TELLING_LETTERS = 5
"""Shorter words of a title are mostly articles and prepositions."""


class TextWriter(Protocol):
    """Where the texts of `preferenceobtain` and `itemsearch` come from. None: there is nothing to say."""

    def preferences(self, histories: Sequence[Sequence[Item]]) -> list[str | None]:
        """What the user behind each history likes."""
        ...

    def intents(self, items: Sequence[Item]) -> list[str | None]:
        """What somebody would search for who wants each item, without its title."""
        ...


class TemplateTexts:
    """Texts made of the items' own categories, brands, decades and title words."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def preferences(self, histories: Sequence[Sequence[Item]]) -> list[str | None]:
        """The dominant traits of each history."""
        return [", ".join(dominant_traits(history, PREFERENCE_CATEGORIES)) or None for history in histories]

    def intents(self, items: Sequence[Item]) -> list[str | None]:
        """The rarest categories, decade, brand and a random part of the title's words of each item.

        Title words are used only where they are fewer than half of the title's telling words, and whatever would
        spell out the title is left away.
        """
        return [self._intent(item) for item in items]

    def _intent(self, item: Item) -> str | None:
        traits = [item.decade, *item.categories[:INTENT_CATEGORIES], item.brand]
        words = [word for word in item.title.split() if word.isalpha() and len(word) >= _TELLING_LETTERS]
        amount = min(INTENT_TITLE_WORDS, (len(words) - 1) // 2)
        if amount > 0:
            chosen = sorted(self._rng.choice(len(words), size=amount, replace=False))
            traits += [words[place].lower() for place in chosen]
        return join_without_title(traits, item) or None


def join_without_title(traits: Sequence[str], target: Item) -> str:
    """Join traits by commas, skipping empty ones and each that would complete the target's title.

    A film called "Crime" is in the category Crime: its texts have to do without that word.
    """
    kept: list[str] = []
    for trait in traits:
        if trait and not mentions_title(", ".join([*kept, trait]), target.full_title):
            kept.append(trait)
    return ", ".join(kept)
