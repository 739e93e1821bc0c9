"""`GET /policy`."""

from fastapi import APIRouter

from serving.api.errors import error_responses
from serving.api.models import PolicyView
from serving.api.parts import UsesParts

router = APIRouter(tags=["policy"])


@router.get("/policy", responses=error_responses("engine_not_ready"))
async def get_policy(parts: UsesParts) -> PolicyView:
    """The policy that is served: what it was trained with, its metrics, its model card."""
    catalogue = parts.watch.catalogue
    return PolicyView(
        policy_version=catalogue.version,
        engine=parts.watch.engine_name,
        dataset=catalogue.facts.dataset,
        profile=catalogue.facts.profile,
        stage=catalogue.facts.stage,
        items=len(catalogue),
        model_card=catalogue.model_card,
        metrics=catalogue.facts.metrics,
    )
