"""What docs/serving.md says of a variable is what the server does with its value."""

import time

import pytest

from serving.engine.transformers_engine import TransformersEngine
from serving.settings import load_settings
from serving.tracing import tracing_config

pytestmark = pytest.mark.unit

DAY = 86_400


def feedback_kept(serve):
    """Of events of a day and a half, and of two and a half days ago."""
    kept = []
    with serve() as client:
        for event, days in (("a", 1.5), ("b", 2.5)):
            happened = {"event_id": event, "user_id": "ann", "item_id": "m0", "kind": "click"}
            happened["timestamp"] = int(time.time() - days * DAY)
            kept.append(client.post("/feedback", json={"events": [happened]}).status_code == 200)
    return kept


def batches_at_once(_):
    return TransformersEngine.batches_at_once(load_settings())


def traced_share(_):
    return tracing_config()["sample_rate"]


@pytest.mark.parametrize(
    ("variable", "value", "read", "expected"),
    [
        ("GREAM_MAX_FEEDBACK_AGE_DAYS", "1", feedback_kept, [False, False]),
        ("GREAM_MAX_FEEDBACK_AGE_DAYS", "2", feedback_kept, [True, False]),
        ("GREAM_MAX_FEEDBACK_AGE_DAYS", "", feedback_kept, [True, True]),
        ("GREAM_ENGINE_BATCHES", "5", batches_at_once, 5),
        ("GREAM_ENGINE_BATCHES", "", batches_at_once, 2),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25", traced_share, 0.25),
        ("OTEL_TRACES_SAMPLER_ARG", "", traced_share, 1.0),
    ],
)
def test_a_variable_s_value_is_what_counts(serve, monkeypatch, variable, value, read, expected):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv(variable, value)
    assert read(serve) == expected
