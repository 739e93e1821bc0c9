"""The BentoML service around the policy engine; the API joins it by `bentoml.depends(PolicyEngineService)`.

Call its methods directly (`await engine.recommend(...)`, `async for chunk in engine.stream(...)`): that works in one
process and across two. Refusals differ by their HTTP status, because of errors from 500 up BentoML sends no words. Each
mode has a lane of its own, so that a direct request never waits for somebody's chain.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final

import bentoml
from bentoml.exceptions import BentoMLException, InvalidArgument, ServiceUnavailable
from bentoml.validators import ContentType

from gream.errors import RequestError
from serving.contracts import ChainPiece, EngineAnswer, EngineRequest, Message, Mode, PolicyEngine, ServedPolicy
from serving.engine.lane import Lane, OverloadedError
from serving.engine.metrics import EngineMetrics, Outcome
from serving.engine.packed_catalogue import PackedCatalogue
from serving.engine.policy_keeper import NoPolicyError, PolicyKeeper
from serving.engine.policy_source import CACHE, PolicySource
from serving.logs import use_json_logs
from serving.settings import load_settings
from serving.tracing import tracing_config

MODES: Final[tuple[Mode, ...]] = ("direct", "reasoning")
Answers = Annotated[list[EngineAnswer], ContentType("application/json")]
"""Without the type, BentoML makes the answers' JSON schema for each response: milliseconds."""


@dataclass(frozen=True)
class Asked:
    """A request in a lane.

    Attributes:
        request: what is asked.
        hear: takes the chain's pieces while it grows, in the engine's thread; None where nobody listens.
    """

    request: EngineRequest
    hear: Callable[[ChainPiece], None] | None = None


@bentoml.service(
    name="gream_engine",
    workers=1,
    # BentoML's own limit on a request, and that of its client, are above the engine's, which answers in its own words.
    traffic={"timeout": load_settings().engine_timeout_seconds + 30.0},
    # The API's client would close its connections after 100 requests, also under requests that are waiting for answers.
    runner_connection={"max_requests": 2**31 - 1, "max_age": 1e9},
    logging={"access": {"enabled": False}},
    tracing=tracing_config(),
)
class PolicyEngineService:
    """Answers recommendation requests with the served policy."""

    def __init__(self) -> None:
        self._settings = settings = load_settings()
        self._metrics = EngineMetrics(settings.engine)
        engine = _engine_class(settings.engine)
        use_json_logs()  # Only now: a library sets up logs of its own when it is imported.
        self._keeper = PolicyKeeper(
            PolicySource(settings.policy, settings.state / CACHE),
            engine.load,
            settings.policy_poll_seconds,
            self._metrics,
        )
        self._lanes = {
            mode: Lane(
                partial(self._compute, mode),
                settings.max_batch,
                settings.engine_queue,
                engine.batches_at_once(settings),
            )
            for mode in MODES
        }
        self._packed = PackedCatalogue()
        self._keeper.start()

    def __is_ready__(self) -> bool:
        """True once a policy is loaded and has answered a request in each mode."""
        return self._keeper.served is not None

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Finish what was accepted, then let the engine go."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes.values()))
        await asyncio.to_thread(self._keeper.stop)

    @bentoml.api
    async def recommend(self, requests: list[EngineRequest]) -> Answers:
        """Answer requests, all or none; those of other callers that wait at the same time share their batches.

        Raises:
            InvalidArgument: a request cannot be answered: a history has an unknown item, or every item is excluded.
            ServiceUnavailable: no policy is loaded yet.
            BentoMLException: the queue is full (status 429), or the engine took too long (504).
        """
        try:
            # Where one is refused the others leave the queue: nobody takes their answers, and whoever tries again would
            # stand behind them.
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._submit(Asked(request))) for request in requests]
        except BaseExceptionGroup as refusals:
            raise refusals.exceptions[0] from None
        return [task.result() for task in tasks]

    @bentoml.api
    async def stream(self, request: EngineRequest) -> AsyncGenerator[str, None]:
        """Reasoning mode as lines of JSON: each a `ChainPiece`, the last one the whole `EngineAnswer`.

        Lines end in a line break and are ASCII; a chunk from the network may hold several of them, or a part of one. A
        stream that ends without an answer has failed.

        Raises:
            BentoMLException: before the first line, as `recommend` does.
        """
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[ChainPiece | None] = asyncio.Queue()

        def hear(piece: ChainPiece) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        answer = asyncio.create_task(self._submit(Asked(request, hear)))
        answer.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield _line(piece)
            yield _line(await answer)
        finally:
            answer.cancel()

    @bentoml.api
    async def policy(self) -> ServedPolicy:
        """The policy that answers now.

        Raises:
            ServiceUnavailable: none is loaded yet.
        """
        served = self._keeper.served
        if served is None:
            raise ServiceUnavailable("the policy is being loaded.")
        return ServedPolicy(
            policy_version=served.engine.policy_version,
            bundle=str(served.bundle.resolve()),
            engine=self._settings.engine,
        )

    @bentoml.api
    async def catalogue(self) -> str:
        """The served policy without its weights, see `serving.catalogue_copy`: for an API on another machine.

        Raises:
            ServiceUnavailable: none is loaded yet.
        """
        served = self._keeper.served
        if served is None:
            raise ServiceUnavailable("the policy is being loaded.")
        return await self._packed.of(served.bundle)

    async def _submit(self, asked: Asked) -> EngineAnswer:
        lane, mode = self._lanes[asked.request.mode], asked.request.mode
        outcome: Outcome = "failed"
        try:
            async with asyncio.timeout(self._settings.engine_timeout_seconds):
                answer = await lane.submit(asked)
            outcome = "answered"
        except OverloadedError as error:
            outcome = "overloaded"
            raise BentoMLException(str(error), error_code=HTTPStatus.TOO_MANY_REQUESTS) from None
        except NoPolicyError:
            outcome = "not_ready"
            raise ServiceUnavailable("the policy is being loaded.") from None
        except TimeoutError:
            outcome = "timeout"
            reason = f"no answer in {self._settings.engine_timeout_seconds} seconds."
            raise BentoMLException(reason, error_code=HTTPStatus.GATEWAY_TIMEOUT) from None
        except RequestError:
            outcome = "refused"
            # Without the error's own words: they name an item of somebody's history, and this message is logged.
            raise InvalidArgument("a history has an unknown item, or every item is excluded.") from None
        except asyncio.CancelledError:
            outcome = "abandoned"
            raise
        finally:
            self._metrics.observe_outcome(mode, outcome)
            self._metrics.waiting.labels(mode).set(lane.waiting)
        return answer

    def _compute(self, mode: Mode, batch: Sequence[Asked]) -> list[EngineAnswer]:
        requests = [asked.request for asked in batch]

        def tell(place: int, piece: ChainPiece) -> None:
            if (hear := batch[place].hear) is not None:
                hear(piece)

        listened = any(asked.hear is not None for asked in batch)
        self._metrics.waiting.labels(mode).set(self._lanes[mode].waiting)
        with self._keeper.engine() as engine:
            answers = engine.recommend(requests, tell if listened else None)
        self._metrics.observe_batch(mode, requests, answers)
        return answers


def _engine_class(name: str) -> type[PolicyEngine]:
    """The engine's class; imported here, because one machine rarely has what both need."""
    if name == "vllm":
        from serving.engine.vllm_engine import VllmEngine

        return VllmEngine
    from serving.engine.transformers_engine import TransformersEngine

    return TransformersEngine


def _line(message: Message) -> str:
    return json.dumps(message.model_dump(mode="json")) + "\n"


class _Expected(logging.Filter):
    """BentoML logs every exception with its traceback; a full queue or a wrong request is an answer, not a failure."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, BentoMLException) or error.error_code == HTTPStatus.INTERNAL_SERVER_ERROR


logging.getLogger("bentoml._internal.server.http_app").addFilter(_Expected())
