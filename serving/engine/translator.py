"""Between requests of the online path and queries of a policy, the same for every engine."""

from functools import lru_cache
from typing import Final

import numpy as np

from gream.decoding.item_filter import ItemFilter
from gream.errors import RequestError
from gream.policy.language import ItemLanguage
from gream.policy.query import Query
from gream.policy.recommendations import Recommendations
from serving.contracts import EngineAnswer, EngineRequest, RankedItem
from serving.filters import ItemFilters

FILTERS: Final = 16
"""Filters that are kept, those asked for last: a byte for each item and five for each node of the trie."""


class Translator:
    """Translates for one policy."""

    def __init__(self, language: ItemLanguage, policy_version: str) -> None:
        self._language = language
        self._version = policy_version
        filters = ItemFilters(language.items, language.facts.added_items)

        @lru_cache(FILTERS)
        def kept(categories: frozenset[str], new_only: bool) -> ItemFilter:
            return ItemFilter.of(filters.outside(sorted(categories), new_only), language.trie)

        self._kept = kept

    def query(self, request: EngineRequest) -> Query:
        """What a request asks of the policy, beside its filter.

        Raises:
            RequestError: an item of the history is not in the catalogue, or no item is left to recommend.
        """
        history = self._language.numbers(request.history)
        excluded, passing = np.unique(self._language.known_numbers(request.exclude)), self.filter(request)
        left = len(excluded) < self._language.trie.n_items if passing is None else passing.leaves(excluded)
        if not left:
            raise RequestError("no item is left to recommend: every one is excluded, or filtered out.")
        return Query(history, request.k, excluded)

    def filter(self, request: EngineRequest) -> ItemFilter | None:
        """What a request wants of an item, worked out once for all requests that want the same; None if nothing."""
        if not request.categories and not request.new_only:
            return None
        return self._kept(frozenset(name.casefold() for name in request.categories), request.new_only)

    def answer(self, found: Recommendations, batch_size: int, seconds: float) -> EngineAnswer:
        """What the policy found, as the online path sends it.

        Args:
            found: the policy's answer.
            batch_size: requests that were computed together.
            seconds: time of that computation.
        """
        return EngineAnswer(
            items=tuple(
                RankedItem(item_id=item.item_id, title=item.title, score=item.score, tokens=item.tokens)
                for item in found
            ),
            chain=found.chain,
            readable_chain=found.readable_chain,
            cited=tuple(self._language.cited(found.chain)) if found.chain is not None else (),
            policy_version=self._version,
            batch_size=batch_size,
            engine_seconds=seconds,
        )
