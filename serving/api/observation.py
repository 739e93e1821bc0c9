"""The outermost layer of the app: every response gets a request id and security headers, every request its access line
and its place in the metrics, and every accident an answer.
"""

import re
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.errors import ApiError, error_response
from serving.api.logs import SERVER, log_access
from serving.api.metrics import ApiMetrics
from serving.api.record import RequestRecord

REQUEST_ID: Final = "X-Request-ID"
UNMATCHED: Final = "unmatched"
"""Route of requests that fit none."""

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every response that does not set its own."""

_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Observation:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(_request_id(Headers(scope=scope)), scope["method"])
        scope.setdefault("state", {})["record"] = record

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = record.request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets an answer and the log its place.
            await self._answer_accident(error, record, scope, receive, send_noting)
        finally:
            self._metrics.in_flight.dec()
            route = getattr(scope.get("route"), "path_format", "") or UNMATCHED
            self._metrics.observe_request(record, route)
            log_access(record, route)

    async def _answer_accident(
        self, error: Exception, record: RequestRecord, scope: Scope, receive: Receive, send: Send
    ) -> None:
        record.code = "internal_error"
        SERVER.error("a request failed", exc_info=error, extra={"fields": {"request_id": record.request_id}})
        if record.status:
            raise ConnectionError("the response broke off.") from None  # Too late for another one.
        answer = ApiError("internal_error", "something went wrong here; the server's log has it by the request's id.")
        await error_response(answer, record.request_id)(scope, receive, send)


def _request_id(headers: Headers) -> str:
    """The client's id where it is a decent one: it is written to the log."""
    given = headers.get(REQUEST_ID, "")
    return given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
