"""What the routes work with; one of each for an app."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from serving.api.engine import AsyncEngine
from serving.api.evidence import AnswerEvidence
from serving.api.histories import Histories
from serving.api.keys import ApiKeys
from serving.api.metrics import ApiMetrics
from serving.api.policy_watch import PolicyWatch
from serving.api.record import RequestRecord, record_of
from serving.evidence.pusher import Pusher
from serving.feedback.feedback import Feedback
from serving.settings import ServingSettings


@dataclass(frozen=True)
class Parts:
    """The parts of an app. Evidence of answers is kept where there is a key for it, pushed where there is a store.

    A search keeps the interpreter from all else: whoever makes one holds `searching`, so that one runs at a time.
    """

    settings: ServingSettings
    keys: ApiKeys
    engine: AsyncEngine
    watch: PolicyWatch
    histories: Histories
    pusher: Pusher | None
    feedback: Feedback
    evidence: AnswerEvidence | None
    metrics: ApiMetrics
    searching: asyncio.Lock = field(default_factory=asyncio.Lock)


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _record(request: Request) -> RequestRecord:
    return record_of(request)


UsesParts = Annotated[Parts, Depends(_parts)]
UsesRecord = Annotated[RequestRecord, Depends(_record)]
