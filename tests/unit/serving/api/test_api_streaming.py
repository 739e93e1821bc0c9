"""Answers as server-sent events."""

import json

import pytest
from api_fakes import CHAIN

from serving.api.engine import EngineBusyError, EngineNotReadyError

pytestmark = pytest.mark.unit

ASK = {"history": ["m0"], "k": 1, "mode": "reasoning"}


def events(response):
    """(name, data) of each event."""
    assert response.headers["Content-Type"].startswith("text/event-stream")
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    lines = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]


@pytest.mark.parametrize("how", [{"params": {"stream": "true"}}, {"headers": {"Accept": "text/event-stream"}}])
def test_the_chain_comes_in_pieces_and_then_the_answer(client, how):
    found = events(client.post("/recommend", json=ASK, **how))
    assert [name for name, _ in found] == ["chain", "chain", "chain", "result"]
    assert [data["text"] for _, data in found[:3]] == list(CHAIN)
    plain = client.post("/recommend", json=ASK).json()
    assert found[-1][1] | {"request_id": ""} == plain | {"request_id": ""}


def test_direct_mode_streams_its_result_alone(client):
    ((name, data),) = events(client.post("/recommend?stream=true", json=ASK | {"mode": "direct"}))
    assert (name, data["items"][0]["item_id"]) == ("result", "m1")


def test_where_nothing_is_left_the_result_is_empty(client):
    ((name, data),) = events(client.post("/recommend?stream=true", json=ASK | {"categories": ["none"]}))
    assert (name, data["items"]) == ("result", [])


def test_what_fails_before_the_first_event_is_an_ordinary_error(client, engine):
    engine.trouble = [EngineBusyError()]
    response = client.post("/recommend?stream=true", json=ASK)
    assert (response.status_code, response.json()["code"]) == (503, "engine_overloaded")


def test_what_fails_later_is_an_event(client, engine, logged):
    engine.trouble = [None, None, EngineNotReadyError()]
    response = client.post("/recommend?stream=true", json=ASK)
    found = events(response)
    assert [name for name, _ in found] == ["chain", "chain", "error"]
    assert found[-1][1] == {
        "code": "engine_not_ready",
        "message": "the policy engine went away; it is being started again.",
        "request_id": response.headers["X-Request-ID"],
    }
    assert logged.records[-1].fields["code"] == "engine_not_ready"


def test_a_stream_has_the_engines_time_for_all_of_its_pieces_and_running_out_of_it_is_no_loss_of_the_engine(
    serve, engine
):
    """Each of three pieces comes in time; the last one after all the time that there is."""
    engine.pace = 0.4
    with serve(engine_timeout_seconds=1.0) as client:
        found = events(client.post("/recommend?stream=true", json=ASK))
        assert [name for name, _ in found] == ["chain", "chain", "error"]
        assert found[-1][1]["code"] == "engine_timeout"
        assert client.get("/readyz").status_code == 200


def test_a_stream_that_degrades_says_so(client, features):
    features.down = True
    body = {"user_id": "ann", "k": 1, "mode": "reasoning"}
    assert events(client.post("/recommend?stream=true", json=body))[-1][1]["degraded_reason"] == "features_unavailable"
