"""Prometheus metrics of the policy engine. Labels take few values each: modes, outcomes, versions."""

from collections.abc import Sequence
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.contracts import EngineAnswer, EngineRequest, Mode
from serving.shared_metrics import forget_the_dead

Outcome = Literal["answered", "refused", "overloaded", "timeout", "not_ready", "abandoned", "failed"]

_SECONDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class EngineMetrics:
    """The metrics of one engine service.

    Under `bentoml serve` they are written to the folder that all processes share, whatever their registry, and appear
    at every service's `/metrics`; vLLM's own do so too.
    """

    def __init__(self, engine: str) -> None:
        """Args:
        engine: which engine computes.
        """
        forget_the_dead()
        self._engine = engine
        self._versions: set[str] = set()
        place = CollectorRegistry()
        self.requests = Counter(
            "gream_policy_engine_requests", "Requests, by what became of them.", ["mode", "outcome"], registry=place
        )
        self.batch_size = Histogram(
            "gream_policy_engine_batch_size", "Requests of one batch.", ["mode"], buckets=_SIZES, registry=place
        )
        self.seconds = Histogram(
            "gream_policy_engine_batch_seconds",
            "Time to compute a batch.",
            ["mode"],
            buckets=_SECONDS,
            registry=place,
        )
        self.waiting = Gauge(
            "gream_policy_engine_waiting",
            "Requests that wait for a batch.",
            ["mode"],
            multiprocess_mode="livesum",
            registry=place,
        )
        self.illegal_items = Counter(
            "gream_policy_engine_illegal_items",
            "Recommended items that were excluded, or came twice in one answer; must stay 0.",
            registry=place,
        )
        self.policy = Gauge(
            "gream_policy_engine_policy_info",
            "1 for the policy that answers.",
            ["version", "engine"],
            multiprocess_mode="livemax",
            registry=place,
        )
        self.swaps = Counter("gream_policy_engine_swaps", "Policies that took another's place.", registry=place)
        self.failed_swaps = Counter(
            "gream_policy_engine_failed_swaps", "Attempts to load a policy that failed.", registry=place
        )

    def observe_outcome(self, mode: Mode, outcome: Outcome) -> None:
        """Count a request."""
        self.requests.labels(mode, outcome).inc()

    def observe_batch(self, mode: Mode, requests: Sequence[EngineRequest], answers: Sequence[EngineAnswer]) -> None:
        """Note a batch, and check what was promised of its items."""
        self.batch_size.labels(mode).observe(len(requests))
        self.seconds.labels(mode).observe(answers[0].engine_seconds)
        for request, answer in zip(requests, answers, strict=True):
            ids = [item.item_id for item in answer.items]
            illegal = len(ids) - len(set(ids) - set(request.exclude))
            if illegal:
                self.illegal_items.inc(illegal)

    def observe_policy(self, version: str) -> None:
        """Note which policy answers now."""
        for other in self._versions - {version}:
            self.policy.labels(other, self._engine).set(0)
        self._versions.add(version)
        self.policy.labels(version, self._engine).set(1)
