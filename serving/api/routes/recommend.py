"""`POST /recommend`, `POST /recommend/batch`."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from serving.api.asked import Ask
from serving.api.errors import ApiError, error_responses
from serving.api.models import BatchRequest, BatchResponse, RecommendRequest, RecommendResponse
from serving.api.parts import Parts, UsesParts, UsesRecord
from serving.api.recommending import check_limits, read_histories, recommend
from serving.api.record import RequestRecord
from serving.api.streaming import open_stream

EVENT_STREAM = "text/event-stream"

router = APIRouter(tags=["recommend"])

_ERRORS = error_responses(
    "invalid_request", "limit_exceeded", "engine_not_ready", "engine_overloaded", "engine_timeout"
)
_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["chain", "result", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Items, best first; on request as server-sent events: `chain`..., then `result` or `error`.",
        "content": {EVENT_STREAM: {"itemSchema": _EVENT}},
    }
}


@router.post("/recommend", response_model=RecommendResponse, responses={**_ERRORS, **_STREAM})
async def recommend_one(
    request: RecommendRequest,
    parts: UsesParts,
    record: UsesRecord,
    stream: Annotated[bool, Query(description="Whether to answer with server-sent events.")] = False,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response | RecommendResponse:
    """Recommend items to a user, or to somebody with a history. `Accept: text/event-stream` streams too."""
    check_limits(request, parts.settings)
    parts.watch.served()
    record.mode = request.mode
    (ask,) = await _asks({record.request_id: request}, parts, record)
    if stream or EVENT_STREAM in accept:
        events = await open_stream(ask, parts, record)
        return StreamingResponse(events, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
    (response,) = await recommend([ask], parts, record)
    return response


@router.post("/recommend/batch", responses=_ERRORS)
async def recommend_many(batch: BatchRequest, parts: UsesParts, record: UsesRecord) -> BatchResponse:
    """Several requests at once; they are answered all, or, with one error, none. Each answer has an id of its own."""
    if len(batch.requests) > parts.settings.max_batch_requests:
        raise ApiError(
            "limit_exceeded",
            f"requests: {len(batch.requests)} is more than this server's limit of {parts.settings.max_batch_requests}.",
        )
    for position, request in enumerate(batch.requests):
        check_limits(request, parts.settings, f"requests[{position}].")
    parts.watch.served()
    # Evidence and feedback are about one answer each, and name it by its id.
    requests = {f"{record.request_id}:{place}": request for place, request in enumerate(batch.requests)}
    asks = await _asks(requests, parts, record)
    return BatchResponse(responses=await recommend(asks, parts, record))


async def _asks(requests: Mapping[str, RecommendRequest], parts: Parts, record: RequestRecord) -> list[Ask]:
    """The requests, by the ids of their answers, with their histories."""
    with record.stage("features"):
        histories = await read_histories(requests.values(), parts)
    named = zip(requests.items(), histories, strict=True)
    return [Ask(request_id, request, history) for (request_id, request), history in named]
