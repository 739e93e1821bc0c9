"""The BentoML service around the policy engine; the API joins it by `bentoml.depends(PolicyEngineService)`.

Call its methods directly (`await engine.recommend(...)`, `async for line in engine.stream(...)`): that works in one
process and across two.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import bentoml
from bentoml.exceptions import InvalidArgument, ServiceUnavailable

from gream.artifacts import content_digest
from gream.errors import RequestError
from gream.policy.policy import Policy
from serving.contracts import EngineAnswer, EngineRequest, Mode, ServedPolicy
from serving.engine.lane import Lane, OverloadedError
from serving.engine.transformers_engine import TransformersEngine
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)


@bentoml.service(name="gream_engine", workers=1)
class PolicyEngineService:
    """Answers recommendation requests with the served policy."""

    def __init__(self) -> None:
        self._settings = settings = ServingSettings()
        self._engine: TransformersEngine | None = None
        self._bundle = Path(settings.policy)
        self._lanes: dict[Mode, Lane[EngineRequest, EngineAnswer]] = {
            mode: Lane(self._compute, settings.max_batch, settings.engine_queue) for mode in ("direct", "reasoning")
        }
        threading.Thread(target=self._load, daemon=True).start()

    def __is_ready__(self) -> bool:  # BentoML's name
        return self._engine is not None

    @bentoml.api
    async def recommend(self, requests: list[EngineRequest]) -> list[EngineAnswer]:
        """Answer requests; those of other callers that wait at the same time share their batches.

        Raises:
            InvalidArgument: a request cannot be answered: a history has an unknown item, or every item is excluded.
            ServiceUnavailable: no policy is loaded yet, the queue is full, or the engine took too long.
        """
        return list(await asyncio.gather(*(self._submit(request) for request in requests)))

    @bentoml.api
    async def stream(self, request: EngineRequest) -> AsyncGenerator[str, None]:
        """Reasoning mode as lines of JSON: each a `ChainPiece`, the last one the whole `EngineAnswer`.

        Lines end in a line break and are ASCII; a chunk from the network may hold several of them, or a part of one. A
        stream that ends without an answer has failed.

        Raises:
            InvalidArgument, ServiceUnavailable: before the first line, as `recommend` does.
        """
        answer = await self._submit(request)
        yield answer.model_dump_json() + "\n"

    @bentoml.api
    async def policy(self) -> ServedPolicy:
        """The policy that answers now.

        Raises:
            ServiceUnavailable: none is loaded yet.
        """
        engine = self._ready_engine()
        return ServedPolicy(
            policy_version=engine.policy_version, bundle=str(self._bundle.resolve()), engine=self._settings.engine
        )

    async def _submit(self, request: EngineRequest) -> EngineAnswer:
        self._ready_engine()
        try:
            async with asyncio.timeout(self._settings.engine_timeout_seconds):
                return await self._lanes[request.mode].submit(request)
        except OverloadedError as error:
            raise ServiceUnavailable(str(error)) from error
        except TimeoutError as error:
            raise ServiceUnavailable(f"no answer in {self._settings.engine_timeout_seconds} seconds.") from error
        except RequestError as error:
            raise InvalidArgument(str(error)) from error

    def _compute(self, requests: Sequence[EngineRequest]) -> list[EngineAnswer]:
        return self._ready_engine().recommend(requests)

    def _ready_engine(self) -> TransformersEngine:
        if self._engine is None:
            raise ServiceUnavailable("the policy is being loaded.")
        return self._engine

    def _load(self) -> None:
        engine = TransformersEngine(Policy.load(self._bundle), content_digest(self._bundle)[:12])
        engine.recommend([EngineRequest(history=())])
        self._engine = engine
        logger.info("policy %s is loaded from %s", engine.policy_version, self._bundle)
