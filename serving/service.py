"""The online path as BentoML services: the HTTP API, and the policy engine that it depends on.

    bentoml serve serving.service:Recommender

With GREAM_ENGINE_URL the engine is not started beside it but asked there, over HTTP and in JSON: on a cluster it is
`bentoml serve serving.engine.service:PolicyEngineService` in pods of its own.

The API is a FastAPI app at `/`. BentoML's own routes would say little (`/readyz`) or too much (metrics labelled with
paths, which hold user ids), so its routes live below `/bentoml`, its metrics and its access log are off, and the app
brings these itself. One process serves the API, because one process at a time may hold the feedback outbox: scale by
replicas.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import bentoml
from starlette.applications import Starlette

from serving.engine.service import PolicyEngineService
from serving.settings import ServingSettings

CATALOGUES: Final = "catalogues"
"""Folder under the replica's state for the catalogue of a policy that an engine elsewhere serves."""
REQUEST_MARGIN_SECONDS: Final = 30.0
"""BentoML's own limit on a request is so much above the engine's, which answers in the API's words."""


@asynccontextmanager
async def _serve_api(front: Starlette) -> AsyncIterator[None]:
    """Make the API when BentoML starts this process: only then is the engine's proxy there."""
    from serving.api.app import create_app
    from serving.api.distant_engine import DistantEngine
    from serving.api.logs import use_json_logs
    from serving.api.remote_engine import RemoteEngine
    from serving.features.reader import FeastUserFeatures

    use_json_logs()
    settings = ServingSettings()
    features = FeastUserFeatures(settings)
    service = bentoml.get_current_service().engine
    beside = settings.engine_url is None
    engine = RemoteEngine(service) if beside else DistantEngine(service, settings.state / CATALOGUES)
    api = create_app(settings, engine, features)
    front.mount("/", api)
    async with api.router.lifespan_context(api):
        yield
    features.close()


def _tracing() -> dict[str, Any]:
    """BentoML's OpenTelemetry, on where the standard variable names a collector; paths with user ids are left out."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return {}
    return {
        "exporter_type": "otlp",
        "sample_rate": float(os.environ.get("OTEL_TRACES_SAMPLER_ARG", "1.0")),
        "otlp": {"protocol": "http", "endpoint": f"{endpoint.rstrip('/')}/v1/traces"},
        "excluded_urls": ["/users/", "/livez", "/readyz", "/metrics"],
    }


@bentoml.service(
    name="gream",
    workers=1,
    path_prefix="/bentoml",
    traffic={"timeout": ServingSettings().engine_timeout_seconds + REQUEST_MARGIN_SECONDS},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing=_tracing(),
)
class Recommender:
    """Recommendations, feedback, lookups."""

    engine = bentoml.depends(PolicyEngineService, url=ServingSettings().engine_url)


# Not by `bentoml.asgi_app`, which would put it below `path_prefix`. (The decorator has made a `bentoml.Service` of it.)
Recommender.mount_apps.append((Starlette(lifespan=_serve_api), "/", "api"))  # type: ignore[attr-defined]
