"""The engine behind `bentoml.depends()`."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, get_args

import aiohttp
from bentoml.exceptions import BentoMLException, InvalidArgument
from pydantic import TypeAdapter

from gream.errors import RequestError
from serving.api.engine import EngineBusyError, EngineNotReadyError
from serving.contracts import ChainPiece, EngineAnswer, EngineRequest, Mode, ServedPolicy

_LINE: Final[TypeAdapter[ChainPiece | EngineAnswer]] = TypeAdapter(ChainPiece | EngineAnswer)

LIFE_SECONDS: Final = 1.0
"""An engine that does not name its policy in this time is asked once more, and then is not there."""

CALLS: Final = 45
"""Requests of one mode that are with the engine at the same time; more wait here, within their own time limits, and
those of one mode do not wait for the other's.

BentoML's client has 100 connections, aiohttp's default, and no setting for more. Where requests took all of them, the
question which policy is served would wait behind them, and an engine that is only busy would pass for one that is gone.
"""


class RemoteEngine:
    """Calls the engine's service, and says in the API's words what went wrong."""

    def __init__(self, service: Any) -> None:
        """Args:
        service: what `bentoml.depends(PolicyEngineService)` resolves to.
        """
        self._service = service
        self._places: dict[Mode, asyncio.Semaphore] = {mode: asyncio.Semaphore(CALLS) for mode in get_args(Mode)}

    async def policy(self) -> ServedPolicy:
        """See `AsyncEngine`."""
        return await self._named_policy()

    async def bundle(self, served: ServedPolicy) -> Path:
        """See `AsyncEngine`; the engine's own folder."""
        return Path(served.bundle)

    async def recommend(self, requests: Sequence[EngineRequest]) -> list[EngineAnswer]:
        """See `AsyncEngine`."""
        # A mixed batch takes as long as its chains.
        slowest: Mode = "reasoning" if any(request.mode == "reasoning" for request in requests) else "direct"
        place = self._places[slowest]
        waits = place.locked()
        async with place:
            with in_our_words():
                if waits:  # Meanwhile the engine may have been told to stop: it finishes what it has, no more.
                    await self._require_life()
                try:
                    return await self._recommend(requests)
                except aiohttp.ClientConnectionError:
                    await self._require_life()
                    return await self._recommend(requests)

    async def stream(self, request: EngineRequest) -> AsyncGenerator[ChainPiece | EngineAnswer, None]:
        """See `AsyncEngine`."""
        latest: ChainPiece | EngineAnswer | None = None
        async with self._places["reasoning"], aclosing(self._service.stream(request=request)) as chunks:
            with in_our_words():
                await self._require_life()  # Nothing has been sent of the stream yet.
                pending = ""
                async for chunk in chunks:
                    *lines, pending = (pending + chunk).split("\n")  # The network cuts chunks where it likes.
                    for line in lines:
                        latest = _LINE.validate_json(line)
                        yield latest
        if not isinstance(latest, EngineAnswer):
            raise EngineNotReadyError("the engine's stream ended without an answer.")

    async def _require_life(self) -> None:
        """Find out whether the engine is there: whether a connection that broke was only an old one.

        The engine closes connections that are idle for five seconds, BentoML's client would use them again for longer,
        and a request may be sent just when one is closed. Questions to the engine may be repeated, but not to one that
        is being started again: it takes connections and answers them only then.

        Raises:
            EngineNotReadyError: the engine does not answer.
        """
        # Twice: where this process itself stood still, the time is over before an answer that has come is read.
        for _ in range(2):
            with suppress(TimeoutError):
                async with asyncio.timeout(LIFE_SECONDS):
                    await self._named_policy()
                return
        raise EngineNotReadyError(f"the engine gave no sign of life in two times {LIFE_SECONDS} seconds.")

    async def _named_policy(self) -> ServedPolicy:
        with in_our_words():
            try:
                return await self._policy()
            except aiohttp.ClientConnectionError:  # See `_require_life`.
                return await self._policy()

    async def _policy(self) -> ServedPolicy:
        served: ServedPolicy = await self._service.policy()
        return served

    async def _recommend(self, requests: Sequence[EngineRequest]) -> list[EngineAnswer]:
        answers: list[EngineAnswer] = await self._service.recommend(requests=list(requests))
        return answers


@contextmanager
def in_our_words() -> Iterator[None]:
    """Errors of BentoML's client become the API's."""
    try:
        yield
    except InvalidArgument as error:
        raise RequestError("the policy cannot answer this request: its history or filters do not fit.") from error
    except BentoMLException as error:
        if error.error_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise EngineBusyError("the engine has no room.") from error
        if error.error_code == HTTPStatus.GATEWAY_TIMEOUT:
            raise TimeoutError("the engine took too long.") from error
        raise EngineNotReadyError(f"the engine cannot answer ({type(error).__name__}).") from error
    except TimeoutError:  # An OSError too, but the caller tells it apart.
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise EngineNotReadyError(f"the engine does not answer ({type(error).__name__}).") from error
