"""Limits on what one request may send, and on how many may be under way."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.errors import ApiError, answer_http_error

UNLIMITED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Answered however many requests are under way: a busy server is not a dead one."""


FULL_BODIES: Final = 64
"""Bodies of the largest size that may be on their way at once, in bytes all together: nobody has shown a key yet."""
BODY_SECONDS: Final = 30.0
"""In which a body must have come."""
TAKING_SECONDS: Final = 30.0
"""In which a client must have made room for the next piece of its answer."""


class BodyLimit:
    """ASGI middleware: reads the body before anything else happens, and no more of it than is allowed.

    A client that is slow to send holds no place among the requests under way.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._on_their_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 413 if its body is too large, 408 if it does not come, 429 if too much is on its way."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except ApiError as error:
            await (await answer_http_error(Request(scope), error))(scope, receive, send)
            return
        if body is None:
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        await self._app(scope, lambda: _next_message(whole, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None where the client has gone."""
        too_large = ApiError("body_too_large", f"the body is larger than {self._max_bytes} bytes.")
        announced = Headers(scope=scope).get("Content-Length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise too_large
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    piece = message.get("body", b"")
                    body += piece
                    self._on_their_way += len(piece)
                    if len(body) > self._max_bytes:
                        raise too_large
                    if self._on_their_way > FULL_BODIES * self._max_bytes:
                        raise ApiError("too_many_requests", "too many bodies are on their way here already.")
                    more = message.get("more_body", False)
        except TimeoutError as error:
            reason = f"the body did not come within {BODY_SECONDS:g} seconds."
            raise ApiError("body_too_slow", reason) from error
        finally:
            self._on_their_way -= len(body)
        return bytes(body)


class ConcurrencyLimit:
    """ASGI middleware: so many requests may be under way; one more is refused at once.

    A client that is slow to take its answer holds no place either, and after a while it gets no more of it.
    """

    def __init__(self, app: ASGIApp, max_requests: int) -> None:
        self._app = app
        self._max_requests = max_requests
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with 429 if there are too many."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._max_requests:
            error = ApiError("too_many_requests", f"{self._under_way} requests are under way here already.")
            await (await answer_http_error(Request(scope), error))(scope, receive, send)
            return
        gone = False

        async def send_in_time(message: Message) -> None:
            nonlocal gone
            if gone:
                return  # An answer without its end: the server closes the connection.
            self._under_way -= 1
            try:
                async with asyncio.timeout(TAKING_SECONDS):
                    await send(message)
            except TimeoutError:
                gone = True
            finally:
                self._under_way += 1

        self._under_way += 1
        try:
            await self._app(scope, receive, send_in_time)
        finally:
            self._under_way -= 1


async def _next_message(whole: list[Message], receive: Receive) -> Message:
    """The body that was read, then what the connection says."""
    return whole.pop() if whole else await receive()
