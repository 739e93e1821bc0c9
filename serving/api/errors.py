"""Errors as clients see them: one body, a stable code, one sentence, never a stack trace or somebody's id."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from serving.api.models import ErrorBody
from serving.api.record import record_of

ErrorCode = Literal[
    "invalid_request",
    "limit_exceeded",
    "unauthorized",
    "not_found",
    "unknown_item",
    "unknown_user",
    "method_not_allowed",
    "event_out_of_time",
    "body_too_large",
    "body_too_slow",
    "wrong_host",
    "too_many_requests",
    "internal_error",
    "engine_not_ready",
    "engine_overloaded",
    "engine_timeout",
    "features_unavailable",
    "feedback_unavailable",
]

STATUS: Final[Mapping[ErrorCode, int]] = {
    "invalid_request": 422,
    "limit_exceeded": 422,
    "unauthorized": 401,
    "not_found": 404,
    "unknown_item": 404,
    "unknown_user": 404,
    "method_not_allowed": 405,
    "event_out_of_time": 409,
    "body_too_large": 413,
    "body_too_slow": 408,
    "wrong_host": 421,
    "too_many_requests": 429,
    "internal_error": 500,
    "engine_not_ready": 503,
    "engine_overloaded": 503,
    "engine_timeout": 503,
    "features_unavailable": 503,
    "feedback_unavailable": 503,
}

RETRY_AFTER_SECONDS: Final[Mapping[ErrorCode, int]] = {
    "too_many_requests": 1,
    "engine_not_ready": 5,
    "engine_overloaded": 1,
    "engine_timeout": 1,
    "features_unavailable": 2,
    "feedback_unavailable": 2,
}
"""When it is worth trying again."""


class ApiError(HTTPException):
    """A request is answered with an error.

    Attributes:
        code: which.
        message: one sentence for whoever called.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS[code])} if code in RETRY_AFTER_SECONDS else {}
        if code == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        if code in ("body_too_large", "body_too_slow", "wrong_host"):
            headers["Connection"] = "close"  # The rest of the body is not read.
        super().__init__(STATUS[code], message, headers)
        self.code: ErrorCode = code
        self.message = message


def error_response(error: ApiError, request_id: str) -> JSONResponse:
    """The response to an error."""
    body = ErrorBody(code=error.code, message=error.message, request_id=request_id)
    return JSONResponse(body.model_dump(), error.status_code, headers=error.headers)


async def answer_http_error(request: Request, error: Exception) -> JSONResponse:
    """The response to an `ApiError`, or to what the framework raises for a wrong path, method or body."""
    record = record_of(request)
    if not isinstance(error, ApiError):
        error = _framework_error(error)
    record.code = error.code
    return error_response(error, record.request_id)


async def answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """The response to a request that does not fit its model: where and what, without the values that were sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    message = f"{place}: {str(first['msg']).removeprefix('Value error, ')}"
    if place == "body" and "json" not in request.headers.get("Content-Type", "json"):
        message = "send the body as JSON, with 'Content-Type: application/json'."
    record = record_of(request)
    record.code = "invalid_request"
    return error_response(ApiError("invalid_request", message), record.request_id)


def error_responses(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """What a route's OpenAPI entry says of its errors."""
    named: dict[int, list[str]] = {}
    for code in codes:
        named.setdefault(STATUS[code], []).append(code)
    return {
        status: {"model": ErrorBody, "description": f"{HTTPStatus(status).phrase}: {', '.join(sorted(names))}"}
        for status, names in named.items()
    }


def _framework_error(error: Exception) -> ApiError:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return ApiError("not_found", "there is nothing at this path.")
    if status == 405:
        refusal = ApiError("method_not_allowed", "this path does not take this method.")
        refusal.headers = getattr(error, "headers", None)  # The allowed methods.
        return refusal
    if status == 400:
        return ApiError("invalid_request", "the body is not JSON in UTF-8.")
    return ApiError("internal_error", "something went wrong here; the server's log has the request's id.")
