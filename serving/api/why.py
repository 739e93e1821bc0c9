"""Why an item was recommended, in words that a user can check: the item of their history that is most like it.

Likeness is read off the semantic index: items that share their first levels lie in the same group, and with every
further level in a smaller one. It is an explanation of the answer, not of the model's reckoning; that is what the chain
of reasoning mode is for.
"""

from collections.abc import Sequence

from serving.api.catalogue import PolicyCatalogue
from serving.api.models import Why


class Explainer:
    """Explains items by one history."""

    def __init__(self, history: Sequence[str], catalogue: PolicyCatalogue) -> None:
        """Args:
        history: item ids, oldest first; those that the catalogue lacks explain nothing.
        catalogue: of the policy that answered.
        """
        self._catalogue = catalogue
        known, _ = catalogue.split_known(history)
        self._history = frozenset(known)
        self._latest: dict[tuple[str, ...], str] = {}
        for item_id in known:  # Of several that share a prefix the most recent one stays.
            codes = self._codes(catalogue.tokens(item_id))
            for length in range(1, len(codes) + 1):
                self._latest[codes[:length]] = item_id

    def explain(self, item_id: str, tokens: tuple[str, ...]) -> Why:
        """The history item that shares the longest beginning of the item's index; the most recent one of several."""
        if item_id in self._history:
            return Why(text="It is in the history already.", because=item_id, shared_levels=len(self._codes(tokens)))
        codes = self._codes(tokens)
        for shared in range(len(codes), 0, -1):
            because = self._latest.get(codes[:shared])
            if because is not None:
                text = _words(self._catalogue.title(because), shared, len(codes))
                return Why(text=text, because=because, shared_levels=shared)
        if not self._history:
            return Why(text="Likely to be chosen by somebody of whom nothing is known.")
        return Why(text="Likely next after the history as a whole; no single item of it is alike.")

    def _codes(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """The levels of an index, without the ordinal that tells apart items which share them all."""
        return tokens[: self._catalogue.levels]


def _words(title: str, shared: int, levels: int) -> str:
    if shared == levels:
        return f"Very much like {title} in the history (all {levels} index levels are shared)."
    degree = "Much" if 2 * shared > levels else "Somewhat"
    return f"{degree} like {title} in the history ({shared} of {levels} index levels are shared)."
