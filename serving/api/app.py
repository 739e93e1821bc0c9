"""The API as an ASGI app: its parts, its layers, its routes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving.api.engine import AsyncEngine
from serving.api.errors import answer_http_error, answer_validation_error, error_responses
from serving.api.evidence import AnswerEvidence
from serving.api.histories import Histories
from serving.api.hosts import HostCheck, parse_hosts
from serving.api.keys import ApiKeys, require_key
from serving.api.limits import BodyLimit, ConcurrencyLimit
from serving.api.metrics import ApiMetrics
from serving.api.observation import Observation
from serving.api.openapi import describe
from serving.api.parts import Parts
from serving.api.policy_watch import PolicyWatch
from serving.api.routes import feedback, items, operations, page, policy, recommend, users
from serving.contracts import UserFeatures
from serving.evidence.journal import Journal
from serving.evidence.pusher import Pusher
from serving.feedback.feedback import Feedback
from serving.settings import ServingSettings

SPOOLS: Final = "spool"
"""Folder in the state folder for evidence that is not in its Parquet file yet."""

_LOG = logging.getLogger("gream.evidence")
_ERRORS = error_responses("body_too_large", "body_too_slow", "wrong_host", "internal_error")
_GUARDED_ERRORS = _ERRORS | error_responses("invalid_request", "unauthorized", "too_many_requests")


def create_app(settings: ServingSettings, engine: AsyncEngine, features: UserFeatures) -> FastAPI:
    """The API over an engine and a feature store. It works between the start and the end of its lifespan.

    Raises:
        ConfigError: the API keys cannot be read, or the place for evidence does not fit.
        FeedbackError: feedback cannot be kept in the state folder.
    """
    metrics = ApiMetrics()
    parts = Parts(
        settings=settings,
        keys=ApiKeys.parse(settings.api_keys.get_secret_value()),
        engine=engine,
        watch=PolicyWatch(engine, settings.policy_poll_seconds, metrics.observe_policy),
        histories=Histories(features, settings.feature_timeout_seconds, metrics.observe_features),
        pusher=_pusher(settings, metrics),
        feedback=Feedback(settings.state, features, settings.max_feedback_age_days, metrics.observe_backlog),
        evidence=_answer_evidence(settings, metrics),
        metrics=metrics,
    )
    app = FastAPI(lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.state.parts = parts
    for guarded in (recommend, feedback, items, users, policy):
        app.include_router(guarded.router, dependencies=[Depends(require_key)], responses=_GUARDED_ERRORS)
    for open_to_all in (operations, page):
        app.include_router(open_to_all.router, responses=_ERRORS)
    app.mount("/page", page.page_files)
    app.mount("/docs/swagger", page.swagger_files)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    # The last one is the outermost.
    app.add_middleware(ConcurrencyLimit, max_requests=settings.max_concurrency)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    if hosts := parse_hosts(settings.allowed_hosts):
        app.add_middleware(HostCheck, hosts=hosts)
    app.add_middleware(Observation, metrics=metrics)
    describe_once = cache(partial(describe, app, settings, with_keys=bool(parts.keys.digests)))
    app.openapi = describe_once  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    parts.feedback.start()
    if parts.evidence is not None:
        parts.evidence.start()
    else:
        _LOG.warning("requests leave no evidence, so no drift will be seen: GREAM_EVIDENCE_KEY is not set")
    if parts.pusher is not None:
        parts.pusher.start()
    watching = asyncio.create_task(parts.watch.run())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.to_thread(_stop, parts)
        parts.histories.close()


def _answer_evidence(settings: ServingSettings, metrics: ApiMetrics) -> AnswerEvidence | None:
    key = settings.evidence_key.get_secret_value().strip()
    if not key:
        return None
    # Feedback holds the lock of the state folder, for the journal too.
    journal = Journal(
        settings.state / SPOOLS,
        settings.evidence,
        metrics.observe_evidence,
        metrics.observe_evidence_failure,
        metrics.observe_waiting,
    )
    return AnswerEvidence(key, journal)


def _pusher(settings: ServingSettings, metrics: ApiMetrics) -> Pusher | None:
    if not settings.evidence_store:
        return None
    return Pusher(settings.evidence, settings.evidence_store, partial(metrics.observe_evidence_failure, "store"))


def _stop(parts: Parts) -> None:
    """Bring what is on its way as far as it gets; the store last, which gets what the others write."""
    if parts.evidence is not None:
        parts.evidence.stop()
    parts.feedback.stop()
    if parts.pusher is not None:
        parts.pusher.stop()
