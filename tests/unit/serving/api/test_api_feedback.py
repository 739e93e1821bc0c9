"""POST /feedback."""

import sqlite3
import time

import pytest

pytestmark = pytest.mark.unit


def event(event_id, **fields):
    now = int(time.time())
    return {"event_id": event_id, "user_id": "ann", "item_id": "m0", "kind": "click", "timestamp": now} | fields


def test_events_are_kept_once_and_reach_the_feature_store(serve, features):
    with serve() as client:
        first = client.post("/feedback", json={"events": [event("a"), event("b", kind="impression")]})
        again = client.post("/feedback", json={"events": [event("a"), event("c", kind="purchase", request_id="r1")]})
        assert first.json() == {"accepted": 2, "duplicates": 0}
        assert again.json() == {"accepted": 1, "duplicates": 1}
        exposed = client.get("/metrics").text
        assert 'gream_feedback_events_total{outcome="accepted"} 3.0' in exposed
        assert 'gream_feedback_events_total{outcome="duplicate"} 1.0' in exposed
    assert features.pushed.keys() == {"a", "c"}


def test_what_is_not_delivered_is_shown(serve, features):
    features.down = True
    with serve() as client:
        client.post("/feedback", json={"events": [event("a")]})
        while 'gream_feedback_undelivered{receiver="features"} 1.0' not in client.get("/metrics").text:
            time.sleep(0.01)


def test_events_out_of_time_are_refused(client):
    response = client.post("/feedback", json={"events": [event("a", timestamp=int(time.time()) + 3_600)]})
    assert (response.status_code, response.json()["code"]) == (409, "event_out_of_time")
    assert response.json()["message"].startswith("events[0].timestamp is more than 300 seconds ahead")
    assert 'gream_feedback_events_total{outcome="refused"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"events": []}, "body.events"),
        ({"events": [event("a", kind="view")]}, "body.events.0.kind"),
        ({"events": [event("a", timestamp="1")]}, "body.events.0.timestamp"),
        ({"events": [event("")]}, "body.events.0.event_id"),
        ({"events": [event("a")] * 1_001}, "body.events"),
    ],
)
def test_events_that_do_not_fit_are_named_by_their_place(client, body, place):
    response = client.post("/feedback", json=body)
    assert response.status_code == 422
    assert response.json()["message"].startswith(f"{place}: ")


def test_nothing_is_acknowledged_that_is_not_durable(client, tmp_path):
    connection = sqlite3.connect(tmp_path / "state" / "outbox.sqlite")
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk'); END")
    response = client.post("/feedback", json={"events": [event("a")]})
    assert (response.status_code, response.json()["code"]) == (503, "feedback_unavailable")
    assert response.headers["Retry-After"] == "2"


def test_feedback_is_taken_while_the_policy_is_loading(serve, engine):
    engine.ready = False
    with serve(wait_until_ready=False) as client:
        assert client.post("/feedback", json={"events": [event("a")]}).status_code == 200
