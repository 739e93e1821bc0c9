"""The online path as BentoML services: the HTTP API, and the policy engine that it depends on.

    bentoml serve serving.service:Recommender

With GREAM_ENGINE_URL the engine is not started beside it but asked there, over HTTP and in JSON: on a cluster it is
`bentoml serve serving.engine.service:PolicyEngineService` in pods of its own.

The API is a FastAPI app that answers every request, before BentoML's own routes see one: those would say little
(`/readyz`), or too much (metrics labelled with paths, which hold user ids). One process serves it, because one process
at a time may hold the feedback outbox: scale by replicas.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import bentoml
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.engine.service import PolicyEngineService
from serving.settings import load_settings
from serving.tracing import tracing_config

_SETTINGS: Final = load_settings()
CATALOGUES: Final = "catalogues"
"""Folder under the replica's state for the catalogue of a policy that an engine elsewhere serves."""
REQUEST_MARGIN_SECONDS: Final = 30.0
"""BentoML's own limit on a request is so much above the engine's, which answers in the API's words."""


@asynccontextmanager
async def _serve_api(front: Starlette) -> AsyncIterator[None]:
    """Make the API when BentoML starts this process: only then is the engine's proxy there."""
    from serving.api.app import create_app
    from serving.api.distant_engine import DistantEngine
    from serving.api.remote_engine import RemoteEngine
    from serving.features.reader import FeastUserFeatures
    from serving.logs import use_json_logs

    use_json_logs()
    features = FeastUserFeatures(_SETTINGS)
    service = bentoml.get_current_service().engine
    beside = _SETTINGS.engine_url is None
    engine = RemoteEngine(service) if beside else DistantEngine(service, _SETTINGS.state / CATALOGUES)
    api = create_app(_SETTINGS, engine, features)
    front.state.api = api
    async with api.router.lifespan_context(api):
        yield
    features.close()


_FRONT: Final = Starlette(lifespan=_serve_api)


class FrontDoor:
    """ASGI middleware of BentoML's app: requests go to the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass on what is none."""
        answering = _FRONT.state.api if scope["type"] == "http" else self._app
        await answering(scope, receive, send)


@bentoml.service(
    name="gream",
    workers=1,
    traffic={"timeout": _SETTINGS.engine_timeout_seconds + REQUEST_MARGIN_SECONDS},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing=tracing_config(),
)
@bentoml.asgi_app(_FRONT)
class Recommender:
    """Recommendations, feedback, lookups."""

    engine = bentoml.depends(PolicyEngineService, url=_SETTINGS.engine_url)


# The decorator has made a `bentoml.Service` of it, which mypy does not see.
Recommender.add_asgi_middleware(FrontDoor)  # type: ignore[attr-defined]
