"""The policy engine on Transformers: embedded, for any device, and the reference for the other engine."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from gream.policy.narrator import ChainNarrator
from gream.policy.policy import Policy
from gream.policy.query import Mode
from serving.contracts import ChainPiece, EngineAnswer, EngineRequest, Listener
from serving.engine.translator import Translator
from serving.settings import ServingSettings, load_settings

THREADS: Final = torch.get_num_threads()
"""Of this process, before any engine has shared them out."""


class TransformersEngine:
    """Answers batches with a `Policy`; see `serving.contracts.PolicyEngine`."""

    @classmethod
    def batches_at_once(cls, settings: ServingSettings) -> int:
        """As many as the settings say."""
        return settings.engine_batches

    @classmethod
    def load(cls, bundle: Path, policy_version: str) -> "TransformersEngine":
        """An engine for the policy in a folder, on the GPU where there is one.

        It shares out the threads of this process among the batches that are computed at the same time: threads of one
        batch wait for each other at every step of the model, and all of them for one that the API's work has pushed
        from its core.
        """
        torch.set_num_threads(max(1, THREADS // cls.batches_at_once(load_settings())))
        return cls(Policy.load(bundle), policy_version)

    def __init__(self, policy: Policy, policy_version: str) -> None:
        self._policy = policy
        self._version = policy_version
        self._translator = Translator(policy, policy_version)

    @property
    def alive(self) -> bool:
        """It lives as long as its process."""
        return True

    @property
    def policy_version(self) -> str:
        """First 12 hex digits of the bundle's content digest."""
        return self._version

    def recommend(self, requests: Sequence[EngineRequest], listener: Listener | None = None) -> list[EngineAnswer]:
        """Answer a batch: direct requests in one beam search, the others in one batch of chains and one beam search."""
        answers: dict[int, EngineAnswer] = {}
        modes: tuple[Mode, ...] = ("direct", "reasoning")
        for mode in modes:
            places = [place for place, request in enumerate(requests) if request.mode == mode]
            if not places:
                continue
            started = time.perf_counter()
            queries = [self._translator.query(requests[place]) for place in places]
            filters = [self._translator.filter(requests[place]) for place in places]
            observe = _Narration(self._policy, places, listener).observe if listener is not None else None
            found = self._policy.answer(queries, mode, observe=observe, filters=filters)
            seconds = time.perf_counter() - started
            for place, one in zip(places, found, strict=True):
                answers[place] = self._translator.answer(one, len(places), seconds)
        return [answers[place] for place in range(len(requests))]

    def close(self) -> None:
        """Nothing to let go: the weights go with the engine."""


class _Narration:
    """Tells a listener of all chains of a batch."""

    def __init__(self, policy: Policy, places: Sequence[int], listener: Listener) -> None:
        self._places = places
        self._listener = listener
        self._narrators = [ChainNarrator(policy) for _ in places]

    def observe(self, chains: list[int], tokens: list[int]) -> None:
        for chain, token in zip(chains, tokens, strict=True):
            if piece := self._narrators[chain].hear(token):
                self._listener(self._places[chain], ChainPiece(text=piece))
