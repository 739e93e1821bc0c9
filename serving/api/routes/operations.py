"""`GET /livez`, `GET /readyz`, `GET /metrics`: for machines, without a key."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.api.errors import ApiError, error_responses
from serving.api.models import Liveness, Readiness
from serving.api.parts import UsesParts

router = APIRouter(tags=["operations"])


@router.get("/livez", responses=error_responses("engine_not_ready"))
async def livez(parts: UsesParts) -> Liveness:
    """Whether this server should go on: 503 only where the engine that it started was lost and does not come back."""
    if parts.settings.engine_url is None and parts.watch.lost:
        raise ApiError("engine_not_ready", "the policy engine is gone and does not come back; start this server anew.")
    return Liveness()


@router.get("/readyz", responses=error_responses("engine_not_ready"))
async def readyz(parts: UsesParts) -> Readiness:
    """Whether recommendations are answered: the engine has loaded its policy and is warm.

    The feature store is reported, not required: without it answers are degraded, and say so.
    """
    features_up = await parts.histories.probe()  # First: its metric is to be right while there is no engine, too.
    catalogue = parts.watch.served()
    return Readiness(policy_version=catalogue.version, features="up" if features_up else "down")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Metrics.", "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}},
    },
)
def metrics(parts: UsesParts) -> Response:
    """Prometheus' text format."""
    return Response(parts.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
