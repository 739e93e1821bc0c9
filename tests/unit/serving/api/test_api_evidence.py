"""What an answer leaves behind for the monitors."""

import json
import time

import pytest
from api_fakes import OPENING

from gream.errors import ConfigError
from gream.monitoring.evidence import Window, user_hash
from gream.monitoring.evidence_reader import read_evidence
from serving.api.engine import EngineBusyError, EngineNotReadyError

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
ANN = {"user_id": "ann"}


@pytest.fixture
def read(tmp_path):
    """Reads what stands in the log, as rows by their request's id."""

    def rows():
        now = int(time.time())
        evidence = read_evidence(tmp_path / "state" / "evidence", Window(now - 3_600, now + 3_600), 0, KEY)
        assert evidence.skipped == ()
        return {row["request_id"]: row for row in evidence.requests.rows(named=True)}

    return rows


@pytest.fixture
def answered(serve, read):
    """Sends a body to a server and stops that; the answer and its evidence."""

    def send(body, path="/recommend", **options):
        with serve(evidence_key=KEY, **options) as client:
            response = client.post(path, json=body)
            assert response.status_code == 200, response.text
        answer = response.json()
        return answer, read()[answer["request_id"]]

    return send


@pytest.mark.parametrize("key", [KEY, f"{KEY}\n"])
def test_a_line_break_behind_the_key_is_none_of_it(serve, read, key):
    with serve(evidence_key=key) as client:
        request_id = client.post("/recommend", json=ANN).json()["request_id"]
    assert read()[request_id]["user"] == user_hash("ann", KEY)


def test_an_answer_to_a_user_is_told_in_full(answered, engine):
    before = int(time.time())
    answer, row = answered(ANN)
    timestamp, engine_ms, features_ms, total_ms = (
        row.pop(name) for name in ("timestamp", "engine_ms", "features_ms", "total_ms")
    )
    assert before <= timestamp <= time.time()
    assert 0 <= row.pop("seconds_since_last") - (timestamp - OPENING - 1) <= 1
    assert 0 < engine_ms + features_ms < total_ms
    assert row == {
        "request_id": answer["request_id"],
        "user": user_hash("ann", KEY),
        "history_length": 2,
        "unknown_items": 0,
        "last_level1": 1,
        "top_category": "Sci-Fi",
        "cold": False,
        "mode": "direct",
        "policy_version": engine.version,
        "degraded": None,
        "items": ["m1", "m3", "m4", "m5"],
        "scores": [-1.0, -2.0, -3.0, -4.0],
    }


def test_unknown_items_count_each_time_and_tell_nothing_else(answered):
    _, row = answered({"user_id": "bob"})
    assert (row["history_length"], row["unknown_items"], row["cold"]) == (4, 2, False)
    assert (row["last_level1"], row["top_category"]) == (1, "Drama")


def test_what_is_cut_off_a_long_history_counts_nowhere(answered, features):
    features.histories["ann"] = ["gone"] * 5 + ["m1", "m2"]
    _, row = answered(ANN, max_history=2)
    assert (row["history_length"], row["unknown_items"]) == (2, 0)
    assert abs(row["seconds_since_last"] - (time.time() - OPENING - 6)) < 60


def test_an_event_ahead_of_the_clock_is_no_negative_age(answered, features):
    features.opening = int(time.time()) + 200
    assert answered(ANN)[1]["seconds_since_last"] == 0


def test_events_without_a_clock_have_no_age(answered, features):
    features.opening = 0  # Positions, as those of LC-Rec's data.
    _, row = answered(ANN)
    assert (row["history_length"], row["seconds_since_last"]) == (2, None)


def test_whoever_brings_a_history_is_known_by_it(answered):
    _, row = answered({"history": ["m0", "m2"], "k": 1})
    assert (row["history_length"], row["last_level1"], row["items"]) == (2, 1, ["m1"])
    assert (row["seconds_since_last"], row["features_ms"]) == (None, None)
    assert row["user"] != user_hash("ann", KEY)
    assert answered({"history": ["m0", "m2"], "mode": "reasoning"})[1]["user"] == row["user"]
    users = {
        answered({"history": history})[1]["user"] for history in (["m0,m2"], ["m0", ",m2"], ["m0m2"], ["m2", "m0"])
    }
    assert len(users | {row["user"]}) == 5


@pytest.mark.parametrize("body", [{"user_id": "nobody"}, {"user_id": "empty"}, {"history": []}, {"history": ["gone"]}])
def test_who_has_no_history_that_the_policy_knows_is_cold(answered, body):
    _, row = answered(body)
    unknown = len(body.get("history", []))
    assert (row["cold"], row["history_length"], row["unknown_items"]) == (True, unknown, unknown)
    assert (row["seconds_since_last"], row["last_level1"], row["top_category"]) == (None, None, None)


def test_a_degraded_answer_says_why(answered, features):
    features.down = True
    _, row = answered(ANN)
    assert (row["degraded"], row["cold"], row["history_length"]) == ("features_unavailable", True, 0)
    assert row["user"] == user_hash("ann", KEY)


def test_where_nothing_is_left_the_engine_took_no_time(answered, engine):
    _, row = answered({"history": ["m0"], "categories": ["none"]})
    assert (row["items"], row["scores"], row["engine_ms"]) == ([], [], None)
    assert (row["policy_version"], row["last_level1"], row["cold"]) == (engine.version, 0, False)


@pytest.mark.parametrize("mode", ["direct", "reasoning"])
@pytest.mark.parametrize("categories", [[], ["none"]])
def test_a_streamed_answer_leaves_the_same(serve, read, mode, categories):
    body = {"history": ["m0"], "k": 2, "mode": mode, "categories": categories}
    with serve(evidence_key=KEY) as client:
        plain = client.post("/recommend", json=body).json()["request_id"]
        streamed = client.post("/recommend?stream=true", json=body).headers["X-Request-ID"]
    rows = read()
    assert len(rows) == 2
    differing = {"request_id", "timestamp", "engine_ms", "total_ms"}
    assert {k: v for k, v in rows[plain].items() if k not in differing} == {
        k: v for k, v in rows[streamed].items() if k not in differing
    }
    assert rows[streamed]["mode"] == mode


def test_each_answer_of_a_batch_has_its_own(serve, read):
    requests = [ANN | {"k": 1}, {"history": [], "categories": ["none"]}, {"user_id": "bob", "mode": "reasoning"}]
    with serve(evidence_key=KEY) as client:
        response = client.post("/recommend/batch", json={"requests": requests}, headers={"X-Request-ID": "r1"})
    answers = response.json()["responses"]
    assert [answer["request_id"] for answer in answers] == ["r1:0", "r1:1", "r1:2"]
    rows = read()
    assert rows.keys() == {"r1:0", "r1:1", "r1:2"}
    for answer in answers:
        row = rows[answer["request_id"]]
        assert row["items"] == [item["item_id"] for item in answer["items"]]
        assert (row["mode"], row["policy_version"]) == (answer["mode"], answer["policy_version"])
    assert rows["r1:0"]["user"] == user_hash("ann", KEY)
    assert rows["r1:2"]["user"] == user_hash("bob", KEY)


def test_feedback_can_name_an_answer_of_a_batch_under_the_longest_id(serve):
    with serve(evidence_key=KEY) as client:
        headers = {"X-Request-ID": "x" * 128}
        body = {"requests": [{"history": []}] * 256}
        *_, last = client.post("/recommend/batch", json=body, headers=headers).json()["responses"]
        event = {"event_id": "e", "user_id": "ann", "item_id": "m0", "kind": "click", "timestamp": int(time.time())}
        assert (
            client.post("/feedback", json={"events": [event | {"request_id": last["request_id"]}]}).status_code == 200
        )


def test_the_policy_is_the_one_that_answered(serve, read, engine, smaller_bundle):
    with serve(evidence_key=KEY) as client:
        engine.serve(smaller_bundle)
        client.post("/recommend", json=ANN)
    (row,) = read().values()
    assert row["policy_version"] == engine.version


def test_what_is_not_answered_leaves_nothing(serve, read, engine):
    with serve(evidence_key=KEY) as client:
        engine.trouble = [EngineBusyError()]
        client.post("/recommend", json=ANN)
        client.post("/recommend/batch", json={"requests": [ANN, {"history": [], "categories": ["none"]}]})
        engine.trouble = [None, None, EngineNotReadyError()]
        client.post("/recommend?stream=true", json=ANN | {"mode": "reasoning"})
        client.post("/recommend", json={})
        assert 'gream_evidence_requests_total{outcome="kept"}' not in client.get("/metrics").text
    assert read() == {}


def test_evidence_is_on_the_disk_when_the_answer_comes_and_names_nobody(serve, tmp_path, logged):
    with serve(evidence_key=KEY) as client:
        request_id = client.post("/recommend", json=ANN).json()["request_id"]
        # Not read through the server: what a killed one leaves.
        files = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.suffix in (".jsonl", ".parquet")]
        (content,) = [content for content in files if request_id.encode() in content]
        assert 'gream_evidence_requests_total{outcome="kept"} 1.0' in client.get("/metrics").text
    assert json.loads(content)["user"] == user_hash("ann", KEY)
    assert b'"ann"' not in content
    assert KEY not in logged.text


def test_a_full_disk_fails_no_recommendation(serve, read, tmp_path):
    spool = tmp_path / "state" / "spool"
    with serve(evidence_key=KEY) as client:
        spool.write_text("where a folder should be")
        assert [client.post("/recommend", json=ANN).status_code for _ in range(3)] == [200] * 3
        assert 'gream_evidence_failures_total{place="spool"} 1.0' in client.get("/metrics").text
        spool.unlink()
    assert len(read()) == 3


def test_without_a_key_nothing_is_written_and_one_line_says_so(logged, serve, tmp_path):
    with serve() as client:
        client.post("/recommend", json=ANN)
    assert [record.getMessage() for record in logged.records if record.name == "gream.evidence"] == [
        "requests leave no evidence, so no drift will be seen: GREAM_EVIDENCE_KEY is not set"
    ]
    assert not (tmp_path / "state" / "evidence" / "requests").exists()
    assert not (tmp_path / "state" / "spool").exists()


def test_a_store_that_does_not_fit_ends_the_start(serve):
    with pytest.raises(ConfigError, match="'s3://x' is no place in an S3 store"), serve(evidence_store="s3://x"):
        pass
