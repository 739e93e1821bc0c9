"""What is noted of a request while it is answered, for the access log and the metrics. No user ids, no histories."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from starlette.requests import HTTPConnection

from serving.contracts import Mode

Stage = Literal["features", "engine"]


@dataclass
class RequestRecord:
    """One request.

    Attributes:
        request_id: the client's, or one made here.
        method: of HTTP.
        status: of the response; 0 until it starts.
        code: of the error, where it is one.
        caller: name of the API key.
        mode: of a recommendation.
        degraded: why it is degraded, where it is.
        seconds: by stage.
        started: when, on the monotonic clock.
    """

    request_id: str
    method: str
    status: int = 0
    code: str | None = None
    caller: str | None = None
    mode: Mode | None = None
    degraded: str | None = None
    seconds: dict[Stage, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def elapsed(self) -> float:
        """Seconds since the request came in."""
        return time.perf_counter() - self.started

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage, also one that fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def record_of(connection: HTTPConnection) -> RequestRecord:
    """The record of a request that `Observation` lets through."""
    record: RequestRecord = connection.state.record
    return record
