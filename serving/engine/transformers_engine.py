"""The policy engine on Transformers: the embedded default, and the reference for the other one."""

import time
from collections import defaultdict
from collections.abc import Sequence

from gream.policy.policy import Policy
from gream.policy.recommendations import Recommendations
from serving.contracts import EngineAnswer, EngineRequest, RankedItem
from serving.engine.categories import CategoryIndex


class TransformersEngine:
    """Answers batches with a `Policy`."""

    def __init__(self, policy: Policy, policy_version: str) -> None:
        self.policy_version = policy_version
        self._policy = policy
        self._ids: list[str] = policy.items["item_id"].to_list()
        self._categories = CategoryIndex(policy.items)

    def recommend(self, requests: Sequence[EngineRequest]) -> list[EngineAnswer]:
        """Answer a batch; see `serving.contracts.PolicyEngine`."""
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            groups[request.mode, max(request.k, self._policy.facts.beams)].append(place)
        answers: dict[int, EngineAnswer] = {}
        for (mode, width), places in groups.items():
            started = time.perf_counter()
            chosen = [requests[place] for place in places]
            excludes = [
                [*request.exclude, *(self._ids[number] for number in self._categories.outside(request.categories))]
                for request in chosen
            ]
            found = self._policy.recommend_batch(
                [request.history for request in chosen], width, "direct" if mode == "direct" else "reasoning", excludes
            )
            seconds = time.perf_counter() - started
            for place, one in zip(places, found, strict=True):
                answers[place] = self._answer(one, requests[place].k, len(places), seconds)
        return [answers[place] for place in range(len(requests))]

    def _answer(self, found: Recommendations, k: int, batch_size: int, seconds: float) -> EngineAnswer:
        return EngineAnswer(
            items=tuple(
                RankedItem(item_id=item.item_id, title=item.title, score=item.score, tokens=item.tokens)
                for item in found[:k]
            ),
            chain=found.chain,
            readable_chain=found.readable_chain,
            policy_version=self.policy_version,
            batch_size=batch_size,
            engine_seconds=seconds,
        )
