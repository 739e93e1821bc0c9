"""Prometheus metrics of the API. Labels take few values each: routes, modes, codes; never an id or a path."""

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from serving.api.catalogue import PolicyCatalogue
from serving.api.record import RequestRecord
from serving.contracts import EngineAnswer, Mode
from serving.evidence.journal import Outcome, Place, Waiting
from serving.feedback.outbox import Backlog
from serving.shared_metrics import SHARED_FOLDER, forget_the_dead

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ApiMetrics:
    """The metrics of one app."""

    def __init__(self) -> None:
        forget_the_dead()
        place = self.registry = CollectorRegistry()
        self.requests = Counter("gream_requests", "Requests answered.", ["route", "status"], registry=place)
        self.errors = Counter("gream_errors", "Requests answered with an error, by its code.", ["code"], registry=place)
        self.in_flight = Gauge(
            "gream_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum", registry=place
        )
        self.seconds = Histogram(
            "gream_recommend_seconds",
            "Time of a recommendation: features (reading the history), engine (queue and computation), total.",
            ["mode", "stage"],
            buckets=_SECONDS,
            registry=place,
        )
        self.queue_seconds = Histogram(
            "gream_engine_queue_seconds",
            "Time in the engine stage that is not computation.",
            ["mode"],
            buckets=_SECONDS,
            registry=place,
        )
        self.batch_size = Histogram(
            "gream_engine_batch_size",
            "Requests that the engine computed together with this one.",
            ["mode"],
            buckets=_SIZES,
            registry=place,
        )
        self.degraded = Counter("gream_degraded", "Degraded answers, by reason.", ["reason"], registry=place)
        self.illegal_items = Counter(
            "gream_illegal_items",
            "Recommended items that the served catalogue does not hold; must stay 0.",
            registry=place,
        )
        self.feedback = Counter(
            "gream_feedback_events", "Feedback events, by what became of them.", ["outcome"], registry=place
        )
        self.undelivered = Gauge(
            "gream_feedback_undelivered",
            "Durable events that wait for delivery.",
            ["receiver"],
            multiprocess_mode="livesum",
            registry=place,
        )
        self.evidence = Counter(
            "gream_evidence_requests",
            "Answered requests, by what became of their evidence.",
            ["outcome"],
            registry=place,
        )
        self.evidence_failures = Counter(
            "gream_evidence_failures",
            "Attempts to write evidence that failed and are repeated: to the spool, to the log, to the store.",
            ["place"],
            registry=place,
        )
        self.evidence_waiting = Gauge(
            "gream_evidence_waiting_bytes",
            "Evidence of requests that is not in the log yet: in memory, or in a spool.",
            ["place"],
            multiprocess_mode="livesum",
            registry=place,
        )
        self.policy = Gauge(
            "gream_policy_info",
            "1 for the policy that is served.",
            ["version", "dataset", "stage"],
            multiprocess_mode="livemax",
            registry=place,
        )
        self.engine_ready = Gauge(
            "gream_engine_ready", "Whether the engine answers.", multiprocess_mode="livemin", registry=place
        )
        self.features_up = Gauge(
            "gream_features_up",
            "Whether the last read of the feature store succeeded.",
            multiprocess_mode="livemin",
            registry=place,
        )

        self._policies: set[tuple[str, str, str]] = set()

    def observe_request(self, record: RequestRecord, route: str) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, str(record.status)).inc()
        if record.code is not None:
            self.errors.labels(record.code).inc()
        if record.mode is not None and record.code is None:
            for stage, seconds in record.seconds.items():
                self.seconds.labels(record.mode, stage).observe(seconds)
            self.seconds.labels(record.mode, "total").observe(record.elapsed)

    def observe_answer(self, mode: Mode, answer: EngineAnswer, stage_seconds: float) -> None:
        """Note what the engine says of its batch.

        Args:
            mode: of the request.
            answer: to it.
            stage_seconds: of asking for it.
        """
        self.batch_size.labels(mode).observe(answer.batch_size)
        self.queue_seconds.labels(mode).observe(max(0.0, stage_seconds - answer.engine_seconds))

    def observe_policy(self, catalogue: PolicyCatalogue | None) -> None:
        """Note which policy is served; None where the engine is away."""
        self.engine_ready.set(catalogue is not None)
        if catalogue is None:
            return
        served = (catalogue.version, catalogue.facts.dataset, catalogue.facts.stage)
        for labels in self._policies - {served}:
            self.policy.labels(*labels).set(0)
        self._policies.add(served)
        self.policy.labels(*served).set(1)

    def observe_features(self, answered: bool) -> None:
        """Note whether the feature store answered."""
        self.features_up.set(answered)

    def observe_backlog(self, backlog: Backlog) -> None:
        """Note what waits for delivery."""
        self.undelivered.labels("log").set(backlog.log)
        self.undelivered.labels("features").set(backlog.features)

    def observe_evidence(self, outcome: Outcome, requests: int) -> None:
        """Count requests by what became of their evidence."""
        self.evidence.labels(outcome).inc(requests)

    def observe_evidence_failure(self, place: Place) -> None:
        """Count an attempt to write evidence that failed."""
        self.evidence_failures.labels(place).inc()

    def observe_waiting(self, waiting: Waiting) -> None:
        """Note what evidence is not in the log yet."""
        self.evidence_waiting.labels("memory").set(waiting.memory)
        self.evidence_waiting.labels("spool").set(waiting.spool)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
