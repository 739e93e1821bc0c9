"""What a dashboard is built on."""

import re

import pytest

from serving.api.engine import EngineBusyError

pytestmark = pytest.mark.unit


@pytest.fixture
def value(client):
    """Reads one sample, 0 where it is not there yet."""

    def read(name, **labels):
        inside = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
        line = re.compile(rf"^{re.escape(name + ('{' + inside + '}' if inside else ''))} (\S+)$", re.MULTILINE)
        found = line.search(client.get("/metrics").text)
        return float(found[1]) if found else 0.0

    return read


def test_recommendations_are_timed_by_mode_and_stage(client, value):
    client.post("/recommend", json={"user_id": "ann"})
    client.post("/recommend", json={"history": [], "mode": "reasoning"})
    client.post("/recommend?stream=true", json={"history": [], "mode": "reasoning"})
    for stage in ("features", "engine", "total"):
        assert value("gream_recommend_seconds_count", mode="direct", stage=stage) == 1
        assert value("gream_recommend_seconds_count", mode="reasoning", stage=stage) == 2
    assert value("gream_engine_batch_size_sum", mode="direct") == 4
    assert value("gream_engine_queue_seconds_count", mode="reasoning") == 2
    assert value("gream_requests_total", route="/recommend", status="200") == 3


def test_errors_are_counted_by_code_and_not_timed(client, engine, value):
    engine.trouble = [EngineBusyError()]
    client.post("/recommend", json={"history": []})
    client.get("/nowhere")
    client.get("/items/a")
    client.get("/items/b")
    assert value("gream_errors_total", code="engine_overloaded") == 1
    assert value("gream_errors_total", code="unknown_item") == 2
    assert value("gream_requests_total", route="/items/{item_id}", status="404") == 2
    assert value("gream_requests_total", route="unmatched", status="404") == 1
    assert value("gream_recommend_seconds_count", mode="direct", stage="total") == 0


@pytest.mark.parametrize("down", [False, True])
def test_the_feature_store_is_judged_while_there_is_no_engine(serve, engine, features, down):
    engine.ready, features.down = False, down
    with serve(wait_until_ready=False) as client:
        assert client.get("/readyz").status_code == 503
        assert f"\ngream_features_up {0.0 if down else 1.0}\n" in client.get("/metrics").text


def test_states_are_shown(client, engine, features, value):
    assert value("gream_policy_info", dataset="films", stage="srpo", version=engine.version) == 1
    assert value("gream_engine_ready") == 1
    client.post("/recommend", json={"user_id": "ann"})
    assert value("gream_features_up") == 1
    features.down = True
    assert client.get("/readyz").json()["features"] == "down"
    assert value("gream_features_up") == 0
    engine.ready = False
    client.portal.call(client.app.state.parts.watch.look)
    assert value("gream_engine_ready") == 0
