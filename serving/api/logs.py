"""What the API logs of requests."""

import logging
from typing import Final

from serving.api.record import RequestRecord

ACCESS: Final = logging.getLogger("gream.access")
SERVER: Final = logging.getLogger("gream.server")
QUIET_ROUTES: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines; they are counted in the metrics, not logged."""


def log_access(record: RequestRecord, route: str) -> None:
    """The access line of a request: the route's template, never the path, which may hold an id."""
    if route in QUIET_ROUTES:
        return
    milliseconds = {str(stage): round(1_000 * seconds, 1) for stage, seconds in record.seconds.items()}
    fields = {
        "request_id": record.request_id,
        "method": record.method,
        "route": route,
        "status": record.status,
        "code": record.code,
        "caller": record.caller,
        "mode": record.mode,
        "degraded": record.degraded,
        "ms": milliseconds | {"total": round(1_000 * record.elapsed, 1)},
    }
    ACCESS.info("request", extra={"fields": {name: value for name, value in fields.items() if value is not None}})
