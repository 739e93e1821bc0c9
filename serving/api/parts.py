"""What the routes work with; one of each for an app."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.api.engine import AsyncEngine
from serving.api.histories import Histories
from serving.api.keys import ApiKeys
from serving.api.metrics import ApiMetrics
from serving.api.policy_watch import PolicyWatch
from serving.api.record import RequestRecord, record_of
from serving.feedback.feedback import Feedback
from serving.settings import ServingSettings


@dataclass(frozen=True)
class Parts:
    """The parts of an app."""

    settings: ServingSettings
    keys: ApiKeys
    engine: AsyncEngine
    watch: PolicyWatch
    histories: Histories
    feedback: Feedback
    metrics: ApiMetrics


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _record(request: Request) -> RequestRecord:
    return record_of(request)


UsesParts = Annotated[Parts, Depends(_parts)]
UsesRecord = Annotated[RequestRecord, Depends(_record)]
