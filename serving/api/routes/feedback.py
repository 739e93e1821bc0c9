"""`POST /feedback`."""

from fastapi import APIRouter

from gream.errors import RequestError
from serving.api.errors import ApiError, error_responses
from serving.api.models import FeedbackRequest, FeedbackResponse
from serving.api.parts import UsesParts
from serving.feedback.feedback import FeedbackError

router = APIRouter(tags=["feedback"])


@router.post("/feedback", responses=error_responses("event_out_of_time", "feedback_unavailable"))
async def give_feedback(request: FeedbackRequest, parts: UsesParts) -> FeedbackResponse:
    """Keep what users did with what they were shown. Answered when it is durable: no crash loses it any more.

    Send the same events again whenever you are not sure that they arrived: an event id counts once. Events that are
    more than five minutes ahead of the server's clock, or older than its limit (30 days unless set otherwise), are
    refused, and all that came with them.
    """
    try:
        accepted = await parts.feedback.accept(request.events)
    except RequestError as error:
        parts.metrics.feedback.labels("refused").inc(len(request.events))
        raise ApiError("event_out_of_time", str(error)) from error
    except FeedbackError as error:
        raise ApiError("feedback_unavailable", "feedback cannot be kept now; send it again.") from error
    parts.metrics.feedback.labels("accepted").inc(accepted.new)
    parts.metrics.feedback.labels("duplicate").inc(accepted.duplicates)
    return FeedbackResponse(accepted=accepted.new, duplicates=accepted.duplicates)
