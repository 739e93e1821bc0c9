"""OpenTelemetry: BentoML brings it; it is on where the standard variable names a collector."""

import os
from typing import Any


def tracing_config() -> dict[str, Any]:
    """The `tracing` part of a service's BentoML configuration.

    Paths that hold user ids, and those that machines ask for every few seconds, are not traced.
    """
    collector = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not collector:
        # Without this, BentoML makes spans that nobody collects: a tenth of what the API does for a request.
        return {"excluded_urls": [".*"]}
    return {
        "exporter_type": "otlp",
        "sample_rate": float(os.environ.get("OTEL_TRACES_SAMPLER_ARG") or 1.0),
        "otlp": {"protocol": "http", "endpoint": f"{collector.rstrip('/')}/v1/traces"},
        "excluded_urls": ["/users", "/livez", "/readyz", "/metrics"],
    }
