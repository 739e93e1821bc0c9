"""Between requests of the online path and queries of a policy, the same for every engine."""

import numpy as np

from gream.errors import RequestError
from gream.policy.language import ItemLanguage
from gream.policy.query import Query
from gream.policy.recommendations import Recommendations
from serving.contracts import EngineAnswer, EngineRequest, RankedItem
from serving.filters import ItemFilters


class Translator:
    """Translates for one policy."""

    def __init__(self, language: ItemLanguage, policy_version: str) -> None:
        self._language = language
        self._version = policy_version
        self._filters = ItemFilters(language.items, language.facts.added_items)

    def query(self, request: EngineRequest) -> Query:
        """What a request asks of the policy; filters become excluded items.

        Raises:
            RequestError: an item of the history is not in the catalogue, or no item is left to recommend.
        """
        history = self._language.numbers(request.history)
        left_out = self._filters.outside(request.categories, request.new_only)
        left_out[self._language.known_numbers(request.exclude)] = True
        if left_out.all():
            raise RequestError("no item is left to recommend: every one is excluded, or filtered out.")
        return Query(history, request.k, np.flatnonzero(left_out))

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
