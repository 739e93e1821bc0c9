"""Limits on what one request may send, and on how many may be under way."""

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.errors import ApiError, answer_http_error

UNLIMITED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Answered however many requests are under way: a busy server is not a dead one."""


class BodyLimit:
    """ASGI middleware: reads the body before anything else happens, and no more of it than is allowed.

    A client that is slow to send holds no place among the requests under way.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with 413 if its body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        announced = Headers(scope=scope).get("Content-Length", "0")
        too_large = announced.isdecimal() and int(announced) > self._max_bytes
        more = True
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            too_large = len(body) > self._max_bytes
        if too_large:
            error = ApiError("body_too_large", f"the body is larger than {self._max_bytes} bytes.")
            await (await answer_http_error(Request(scope), error))(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        await self._app(scope, lambda: _next_message(whole, receive), send)


class ConcurrencyLimit:
    """ASGI middleware: so many requests may be under way; one more is refused at once."""

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
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


async def _next_message(whole: list[Message], receive: Receive) -> Message:
    """The body that was read, then what the connection says."""
    return whole.pop() if whole else await receive()
