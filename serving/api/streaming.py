"""An answer as server-sent events, so that a chain can be read while it is being sampled.

    event: chain    data: {"text": "..."}       pieces of the chain, in reasoning mode
    event: result   data: RecommendResponse     the whole answer, once, at the end
    event: error    data: ErrorBody             instead of the result, where something failed after the first event

What fails before the first event is an ordinary error response.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from pydantic import BaseModel

from serving.api.asked import Ask, Prepared
from serving.api.catalogue import PolicyCatalogue
from serving.api.errors import ApiError
from serving.api.models import ErrorBody
from serving.api.parts import Parts
from serving.api.recommending import engine_errors, prepare, recommend, respond, with_served_policy
from serving.api.record import RequestRecord
from serving.contracts import ChainPiece, EngineAnswer


class _Stream:
    """What the engine sends of one answer, all of it within the engine's time limit."""

    def __init__(
        self, pieces: AsyncGenerator[ChainPiece | EngineAnswer, None], parts: Parts, record: RequestRecord
    ) -> None:
        self._pieces = pieces
        self._parts = parts
        self._record = record
        # The engine counts the same seconds, from a little later. Where its own limit ended a stream that has begun,
        # nothing would say why.
        self._deadline = asyncio.get_running_loop().time() + parts.settings.engine_timeout_seconds

    async def next(self) -> ChainPiece | EngineAnswer:
        """The next piece.

        Raises:
            ApiError: there is none.
        """
        with engine_errors(self._parts), self._record.stage("engine"):
            async with asyncio.timeout_at(self._deadline):
                return await anext(self._pieces)

    async def aclose(self) -> None:
        """Let the engine know that nobody listens any more."""
        await self._pieces.aclose()


async def open_stream(ask: Ask, parts: Parts, record: RequestRecord) -> AsyncIterator[bytes]:
    """The events of one answer; the first one is certain to come.

    Raises:
        ApiError: the engine cannot answer now.
    """
    if ask.request.mode == "direct":
        (response,) = await recommend([ask], parts, record)
        return _single(response)

    async def attempt(catalogue: PolicyCatalogue) -> AsyncIterator[bytes]:
        prepared = prepare(ask, catalogue)
        if prepared.request is None:
            return _single(await respond(prepared, None, parts, record))
        stream = _Stream(parts.engine.stream(prepared.request), parts, record)
        first = await stream.next()
        return _events(first, stream, prepared, parts, record)

    return await with_served_policy(attempt, parts)


async def _single(response: BaseModel) -> AsyncIterator[bytes]:
    yield _event("result", response)


async def _events(
    piece: ChainPiece | EngineAnswer, stream: _Stream, prepared: Prepared, parts: Parts, record: RequestRecord
) -> AsyncIterator[bytes]:
    async with aclosing(stream):
        try:
            while isinstance(piece, ChainPiece):
                yield _event("chain", piece)
                piece = await stream.next()
            yield _event("result", await respond(prepared, piece, parts, record))
        except ApiError as error:
            record.code = error.code
            yield _event("error", ErrorBody(code=error.code, message=error.message, request_id=record.request_id))


def _event(name: str, data: BaseModel) -> bytes:
    return f"event: {name}\ndata: {data.model_dump_json()}\n\n".encode()
