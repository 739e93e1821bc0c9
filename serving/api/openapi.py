"""The OpenAPI document, with the limits of this server in it, so that a client can keep to them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gream import __version__
from serving.settings import ServingSettings

_DESCRIPTION = """A user or a history in, ranked items out, and on request the reasoning that led there.

Every error has the same body: a stable `code`, one sentence, the request's id. 429 and 503 come with `Retry-After`.
"""


def describe(app: FastAPI, settings: ServingSettings, with_keys: bool) -> dict[str, Any]:
    """The document of an app under its settings; keys are in it only where they are asked for."""
    document = get_openapi(title="GREAM", version=__version__, description=_DESCRIPTION, routes=app.routes)
    schemas = document["components"]["schemas"]
    request = schemas["RecommendRequest"]["properties"]
    request["k"]["maximum"] = settings.max_k
    for name in ("history", "exclude", "categories"):
        _array(request[name])["maxItems"] = settings.max_history
    schemas["BatchRequest"]["properties"]["requests"]["maxItems"] = settings.max_batch_requests
    if not with_keys:
        del document["components"]["securitySchemes"]
        for methods in document["paths"].values():
            for operation in methods.values():
                operation.pop("security", None)
    return document


def _array(schema: dict[str, Any]) -> dict[str, Any]:
    """The array in a schema that may allow null beside it."""
    variants: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return next(variant for variant in variants if variant.get("type") == "array")
