"""Real parts stopped for real: Redis, the engine, the whole server. Each time there is an answer, and a way back."""

import json
import threading
import time
from pathlib import Path

import httpx
import polars as pl
import pytest
from api_server import gream_serve
from tiny_policy import write_tiny_policy

from gream.monitoring.evidence import Window
from gream.monitoring.evidence_reader import read_evidence

pytestmark = pytest.mark.integration


def until(holds):
    """Wait; the test's own time limit ends it otherwise."""
    while not holds():
        time.sleep(0.1)


def event(number, user=None):
    return {
        "event_id": f"e{number}",
        "user_id": user or f"user-{number // 100}",  # Well within the window that the feature store keeps of each.
        "item_id": f"item-{number % 60}",
        "kind": "click",
        "timestamp": int(time.time()) - number,
    }


def entries(client, user):
    """A user's history; asked again where the store did not answer in time, as the answer says."""
    while (response := client.get(f"/users/{user}/history")).status_code == 503:
        time.sleep(0.1)
    assert response.status_code == 200, response.text
    return response.json()["entries"]


def test_redis_goes_and_comes_back(shop, redis, tmp_path):
    ask = {"user_id": "user-1", "k": 3}
    with (
        gream_serve(
            shop / "policy", tmp_path, GREAM_ONLINE_STORE="redis", GREAM_REDIS=f"127.0.0.1:{redis.port}"
        ) as server,
        server.client() as client,
    ):
        whole = client.post("/recommend", json=ask).json()
        assert whole["degraded"] is False

        redis.stop()
        degraded = client.post("/recommend", json=ask).json()
        assert (degraded["degraded"], degraded["degraded_reason"]) == (True, "features_unavailable")
        of_nobody = client.post("/recommend", json={"history": [], "k": 3}).json()
        assert degraded["items"] == of_nobody["items"]
        history = client.get("/users/user-1/history")
        assert (history.status_code, history.json()["code"]) == (503, "features_unavailable")
        assert client.get("/readyz").json()["features"] == "down"
        kept = client.post("/feedback", json={"events": [event(0, "user-1")]})
        assert kept.json() == {"accepted": 1, "duplicates": 0}
        until(lambda: 'gream_feedback_undelivered{receiver="features"} 1.0' in client.get("/metrics").text)

        redis.start()
        until(lambda: client.post("/recommend", json=ask).json()["degraded"] is False)
        until(lambda: len(entries(client, "user-1")) == 4)
        assert entries(client, "user-1")[-1]["item_id"] == "item-0"


def test_the_engine_is_killed_and_the_server_recovers_by_itself(shop, tmp_path):
    body = {"history": ["item-0"], "k": 3}
    with gream_serve(shop / "policy", tmp_path) as server, server.client() as client:
        before = client.post("/recommend", json=body).json()
        outcomes, stop = [], threading.Event()

        def ask():
            with server.client() as own:
                while not stop.is_set():
                    response = own.post("/recommend", json=body)
                    outcomes.append(
                        (response.status_code, response.json().get("code"), response.headers.get("Retry-After"))
                    )

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(outcomes) > 20)
        server.worker("gream_engine").kill()
        until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/livez").status_code == 200
        assert client.get("/items/item-0").status_code == 200
        until(lambda: client.get("/readyz").status_code == 200)
        stop.set()
        for thread in threads:
            thread.join()
        assert set(outcomes) == {(200, None, None), (503, "engine_not_ready", "5")}
        assert client.post("/recommend", json=body).json()["items"] == before["items"]


def test_no_acknowledged_event_is_lost_when_everything_is_killed_under_load(shop, tmp_path):
    acknowledged, numbers = set(), iter(range(100_000))

    def send(server):
        with server.client() as client:
            while True:
                batch = [event(next(numbers)) for _ in range(3)]
                try:
                    response = client.post("/feedback", json={"events": batch})
                except httpx.TransportError:
                    return
                assert response.status_code == 200
                acknowledged.update(one["event_id"] for one in batch)

    with gream_serve(shop / "policy", tmp_path) as server:
        threads = [threading.Thread(target=send, args=[server]) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 500 and list(log_folder(tmp_path).rglob("*.parquet")))
        server.kill()
        for thread in threads:
            thread.join()
    at_the_kill = set(acknowledged)
    # Of the last users perhaps nothing was acknowledged: the store need not know them.
    users = {event(int(event_id.removeprefix("e")))["user_id"] for event_id in at_the_kill}

    with gream_serve(shop / "policy", tmp_path) as server, server.client() as client:
        first = client.post("/feedback", json={"events": [event(0)]}).json()
        assert first == {"accepted": 0, "duplicates": 1}
        until(lambda: 'gream_feedback_undelivered{receiver="features"} 0.0' in client.get("/metrics").text)
        seen = {(entry["item_id"], entry["timestamp"]) for user in users for entry in entries(client, user)}
        assert server.stop() == 0
    logged = pl.read_parquet(log_folder(tmp_path) / "**" / "*.parquet")
    assert logged["event_id"].is_unique().all()
    assert at_the_kill <= set(logged["event_id"])
    clicks = logged.filter(pl.col("event_id").is_in(at_the_kill)).select("item_id", "timestamp")
    assert set(clicks.iter_rows()) <= seen


def log_folder(folder: Path) -> Path:
    return folder / "state" / "evidence" / "feedback"


def test_every_answer_leaves_evidence_once_when_everything_is_killed_under_load(shop, tmp_path):
    key, answered = "a secret of the tests", set()
    spool, log = tmp_path / "state" / "spool", tmp_path / "state" / "evidence" / "requests"

    def ask(server, send):
        with server.client() as client:
            while True:
                try:
                    answered.update(send(client))
                except httpx.TransportError:
                    return

    def one(client):
        response = client.post("/recommend", json={"user_id": "user-1", "k": 3})
        assert response.status_code == 200
        return [response.json()["request_id"]]

    def batch(client):
        response = client.post("/recommend/batch", json={"requests": [{"history": ["item-0"], "k": 3}] * 3})
        return [answer["request_id"] for answer in response.json()["responses"]]

    def stream(client):
        response = client.post("/recommend?stream=true", json={"history": ["item-0"], "k": 3, "mode": "reasoning"})
        *_, result = (line for line in response.text.splitlines() if line.startswith("data: "))
        return [json.loads(result.removeprefix("data: "))["request_id"]]

    started = int(time.time())
    with gream_serve(shop / "policy", tmp_path, GREAM_EVIDENCE_KEY=key) as server:
        threads = [threading.Thread(target=ask, args=[server, send]) for send in (one, one, batch, stream)]
        for thread in threads:
            thread.start()
        # Some of it in files already, some of it not.
        until(lambda: len(answered) > 500 and list(log.rglob("*.parquet")) and list(spool.iterdir()))
        server.kill()
        for thread in threads:
            thread.join()
    at_the_kill = set(answered)

    with gream_serve(shop / "policy", tmp_path, GREAM_EVIDENCE_KEY=key) as server:
        with server.client() as client:
            answered.update(one(client))
        assert server.stop() == 0
        assert key not in server.log.read_text()
    evidence = read_evidence(tmp_path / "state" / "evidence", Window(started, int(time.time()) + 1), 0, key)
    # What was there twice or unreadable would be among what was skipped.
    assert evidence.skipped == ()
    assert at_the_kill < answered <= set(evidence.requests["request_id"])
    assert list(spool.iterdir()) == []


def test_a_swap_and_a_stop_fail_no_request(tmp_path):
    """Requests go on while another policy takes the place of the first, and finish when the server is told to stop."""
    policy = tmp_path / "policy"
    write_tiny_policy(policy, seed=0)
    with gream_serve(policy, tmp_path, GREAM_POLICY_POLL_SECONDS="0.2") as server, server.client() as client:
        first = client.get("/policy").json()["policy_version"]
        versions, failures, stop = [], [], threading.Event()

        def ask():
            with server.client() as own:
                while not stop.is_set():
                    response = own.post("/recommend", json={"user_id": "user-2", "history": None, "k": 3})
                    if response.status_code == 200:
                        versions.append(response.json()["policy_version"])
                    else:
                        failures.append(response.text)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: first in versions)
        write_tiny_policy(policy, seed=1)
        until(lambda: {*versions} != {first})
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert client.get("/policy").json()["policy_version"] == versions[-1] != first

        answers = []

        def ask_once():
            body = {"history": ["item-0"], "k": 3, "mode": "reasoning"}
            answers.append(httpx.post(f"{server.url}/recommend", json=body, timeout=60).status_code)

        last = [threading.Thread(target=ask_once) for _ in range(8)]
        for thread in last:
            thread.start()
        until(lambda: "gream_requests_in_flight 9.0" in client.get("/metrics").text or len(answers) > 4)
        assert server.stop() == 0
        for thread in last:
            thread.join()
        assert answers == [200] * 8
    assert not [line for line in server.lines() if line["level"] == "ERROR"]
