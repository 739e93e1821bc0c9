"""An engine and a feature store that do as they are told."""

import asyncio
from pathlib import Path

from gream.artifacts import content_digest
from gream.errors import RequestError
from serving.api.catalogue import PolicyCatalogue
from serving.api.engine import EngineNotReadyError
from serving.contracts import (
    ChainPiece,
    EngineAnswer,
    FeatureStoreError,
    RankedItem,
    ServedPolicy,
    UserHistory,
)

OPENING = 1_700_000_000
CHAIN = ("evidence: ", "[Alien (1979)]", " | wants: more")


class FakeEngine:
    """Ranks the catalogue in its own order; the n-th item scores -n.

    Attributes:
        asked: every request that came.
        trouble: what goes wrong, one for each step of a call, None for nothing; the last one stays.
        hold: an event of asyncio that calls wait for, where it is set.
        pace: seconds that each piece of a stream takes.
        ready: whether it names its policy.
        folder: of the policy that it serves.
        version: of that policy, by which it answers.
        named: versions that it names first, one for each look, as other replicas of it might.
    """

    def __init__(self, bundle):
        self.asked = []
        self.trouble = []
        self.hold = None
        self.pace = 0.0
        self.ready = True
        self.named = []
        self.folders = {}
        self.serve(bundle)

    def serve(self, bundle):
        self.folder = bundle
        self.version = content_digest(bundle)[:12]
        self.catalogue = PolicyCatalogue.load(bundle, self.version)
        self.folders[self.version] = bundle

    async def policy(self):
        if not self.ready:
            raise EngineNotReadyError("loading")
        version = self.named.pop(0) if self.named else self.version
        return ServedPolicy(policy_version=version, bundle=str(self.folders.get(version, self.folder)), engine="fake")

    async def bundle(self, served):
        return Path(served.bundle)

    async def recommend(self, requests):
        self.asked += requests
        await self._trouble()
        return [self._answer(request) for request in requests]

    async def stream(self, request):
        self.asked.append(request)
        answer = self._answer(request)
        await self._trouble()
        for text in CHAIN:
            await asyncio.sleep(self.pace)
            yield ChainPiece(text=text)
            await self._trouble()
        yield answer

    async def _trouble(self):
        if self.hold is not None:
            await self.hold.wait()
        if self.trouble:
            error = self.trouble.pop(0) if len(self.trouble) > 1 else self.trouble[0]
            if error is not None:
                raise error

    def _answer(self, request):
        if any(item_id not in self.catalogue for item_id in request.history):
            raise RequestError("unknown item")
        ids = [item_id for item_id in self.catalogue.search("", 1_000) if item_id not in request.exclude]
        if request.categories:
            ids = [item_id for item_id in ids if set(request.categories) & set(self.catalogue.categories(item_id))]
        chosen = [
            RankedItem(
                item_id=item_id,
                title=self.catalogue.title(item_id),
                score=-float(place),
                tokens=self.catalogue.tokens(item_id),
            )
            for place, item_id in enumerate(ids[: request.k], start=1)
        ]
        reasons = {"chain": "".join(CHAIN), "readable_chain": "".join(CHAIN), "cited": ("m0",)}
        return EngineAnswer(
            items=tuple(chosen),
            policy_version=self.version,
            batch_size=4,
            engine_seconds=0.001,
            **(reasons if request.mode == "reasoning" else {}),
        )


class FakeFeatures:
    """Histories in a dictionary.

    Attributes:
        histories: by user.
        opening: timestamp of the first event of each; the others come a second later each.
        down: whether every call fails.
        hold: an event of threading that calls wait for, where it is set.
        pushed: events, by id.
    """

    def __init__(self, histories=()):
        self.histories = dict(histories)
        self.opening = OPENING
        self.down = False
        self.hold = None
        self.pushed = {}

    def histories_of(self, user_ids):
        self._trouble()
        return {user: self._history(self.histories[user]) for user in user_ids if user in self.histories}

    def _history(self, item_ids):
        timestamps = range(self.opening, self.opening + len(item_ids))
        return UserHistory(item_ids=tuple(item_ids), timestamps=tuple(timestamps))

    def push(self, events):
        self._trouble()
        self.pushed |= {event.event_id: event for event in events}

    def _trouble(self):
        if self.hold is not None:
            self.hold.wait()
        if self.down:
            raise FeatureStoreError("down")
