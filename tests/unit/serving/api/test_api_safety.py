"""Keys, limits, headers, and what neither errors nor logs may show."""

import asyncio
import json
import logging
import sqlite3

import pytest
from pydantic import ValidationError

from gream.errors import ArtifactError, ConfigError, RequestError
from serving.api import limits
from serving.api.keys import ApiKeys
from serving.api.limits import BodyLimit
from serving.api.models import BatchRequest
from serving.api.record import RequestRecord
from serving.logs import JsonFormatter

pytestmark = pytest.mark.unit

ASK = {"history": ["m0"], "k": 1}
JSON = {"Content-Type": "application/json"}
GUARDED = [
    ("POST", "/recommend", ASK),
    ("POST", "/recommend/batch", {"requests": [ASK]}),
    ("POST", "/feedback", {"events": []}),
    ("GET", "/items", None),
    ("GET", "/items/m0", None),
    ("GET", "/users", None),
    ("GET", "/users/ann/history", None),
    ("GET", "/policy", None),
]


@pytest.mark.parametrize(("method", "path", "body"), GUARDED)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c2VjcmV0"}])
def test_with_keys_set_every_route_for_people_wants_one(serve, method, path, body, headers):
    with serve(api_keys="shop:secret, app:other") as client:
        refused = client.request(method, path, json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        for key in ("secret", "other"):
            allowed = client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})
            assert allowed.status_code != 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_machines_and_readers_need_no_key(serve, path):
    with serve(api_keys="shop:secret") as client:
        assert client.get(path).status_code == 200


def test_a_server_for_this_machine_alone_is_called_by_its_names(serve):
    answers = {
        "localhost": 200,
        "LOCALHOST:3000": 200,
        "127.0.0.1:8080": 200,
        "[::1]": 200,
        "[::1]:3000": 200,
        "evil.example": 421,
        "evil.example:3000": 421,
        "localhost.evil.example": 421,
        "[::1": 421,
        "": 421,
    }
    with serve(allowed_hosts="localhost, 127.0.0.1,[::1]") as client:
        for host, status in answers.items():
            for path in ("/users/ann/history", "/"):
                assert client.get(path, headers={"Host": host}).status_code == status, (host, path)
            assert (
                client.get("/livez", headers={"Host": host}).status_code == 200
            )  # As probes ask, by the pod's address.
        refused = client.post("/recommend", json=ASK, headers={"Host": "evil.example"})
    assert (refused.status_code, refused.json()["code"]) == (421, "wrong_host")
    assert refused.headers["X-Request-ID"] == refused.json()["request_id"]
    assert refused.headers["Connection"] == "close"  # Its body is not read.


def test_elsewhere_any_name_will_do(client):
    assert client.get("/users/ann/history", headers={"Host": "shop.example"}).status_code == 200


def test_a_key_is_known_by_its_name():
    keys = ApiKeys.parse("shop:secret, app:with:colon")
    assert (keys.name_of("secret"), keys.name_of("with:colon"), keys.name_of("secret ")) == ("shop", "app", None)
    assert ApiKeys.parse(" ").digests == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop:secret,app", "GREAM_API_KEYS: entry 2 is not of the form name:key."),
        ("shop:,", "GREAM_API_KEYS: entry 1 is not of the form name:key."),
        ("a:secret,a:other", "GREAM_API_KEYS: the name 'a' comes twice."),
        # A header is read as Latin-1: nobody could show these.
        ("shop:schlüssel", "GREAM_API_KEYS: the key of entry 1 is not of printable ASCII."),
        ("shop:secret,app:a\tb", "GREAM_API_KEYS: the key of entry 2 is not of printable ASCII."),
    ],
)
def test_keys_that_cannot_be_read_are_refused_without_being_shown(text, message):
    with pytest.raises(ConfigError) as refused:
        ApiKeys.parse(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([ASK, 1, 1], "body.requests.1: Input should be a valid dictionary or object to extract fields from"),
        ([{"history": ["m0", 1, 1]}] * 2, "body.requests.0.history.1: Input should be a valid string"),
        ([{**ASK, "exclude": [1, ""]}], "body.requests.0.exclude.0: Input should be a valid string"),
        (
            [{**ASK, "categories": ["a", "", ""]}],
            "body.requests.0.categories.1: String should have at least 1 character",
        ),
    ],
)
def test_a_body_is_read_no_further_than_its_first_error(client, requests, message):
    answer = client.post("/recommend/batch", json={"requests": requests})
    assert (answer.status_code, answer.json()["message"]) == (422, message)
    with pytest.raises(ValidationError) as refused:
        BatchRequest.model_validate({"requests": requests})
    assert refused.value.error_count() == 1


def test_a_body_that_is_announced_as_too_large_is_not_read(serve):
    with serve(max_body_bytes=2_048) as client:
        fits = client.post("/recommend", content=json.dumps(ASK).ljust(2_048), headers=JSON)
        refused = client.post("/recommend", content=b" " * 2_049, headers=JSON)
    assert fits.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert refused.headers["Connection"] == "close"


def test_a_body_that_turns_out_too_large_is_not_read_to_its_end():
    sent, pieces = [], iter([b" " * 1_000] * 2)

    async def receive():
        return {"type": "http.request", "body": next(pieces), "more_body": True}

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        raise AssertionError("the request was let through")

    scope = {"type": "http", "headers": [], "state": {"record": RequestRecord("r1", "POST")}}
    asyncio.run(BodyLimit(app, max_bytes=1_500)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert next(pieces, None) is None


@pytest.fixture
def receiving():
    """Reads bodies whose pieces come as they are put, each on a connection of its own; what was answered."""
    limit = BodyLimit(None, max_bytes=1_000)

    async def read(pieces):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "headers": [], "state": {"record": RequestRecord("r1", "POST")}}
        await limit(scope, pieces.get, send)
        return sent[0]["status"], json.loads(sent[1]["body"])["code"]

    return read


def piece(size):
    return {"type": "http.request", "body": b" " * size, "more_body": True}


def test_senders_who_stall_cannot_fill_the_memory(receiving):
    async def stall():
        connections = [asyncio.Queue() for _ in range(limits.FULL_BODIES + 1)]
        readers = [asyncio.create_task(receiving(pieces)) for pieces in connections]
        for pieces in connections:
            pieces.put_nowait(piece(999))
        done, waiting = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
        for reader in waiting:
            reader.cancel()
        return [reader.result() for reader in done]

    assert asyncio.run(stall()) == [(429, "too_many_requests")]


def test_a_body_that_does_not_come_is_not_waited_for(receiving, monkeypatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.01)
    assert asyncio.run(receiving(asyncio.Queue())) == (408, "body_too_slow")


def test_a_body_that_is_not_said_to_be_json_is_told_so(client):
    response = client.post("/recommend", content=json.dumps(ASK), headers={"Content-Type": "text/plain"})
    assert response.status_code == 422
    assert response.json()["message"] == "send the body as JSON, with 'Content-Type: application/json'."


def test_more_requests_than_allowed_are_sent_away_while_probes_are_answered(serve, engine):
    with serve(max_concurrency=2) as client:
        engine.hold = asyncio.Event()
        waiting = [client.portal.start_task_soon(_post, client.app) for _ in range(2)]
        while len(engine.asked) < 2:
            client.portal.call(asyncio.sleep, 0)
        refused = client.get("/items")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert refused.headers["Retry-After"] == "1"
        assert client.get("/livez").status_code == 200
        assert "gream_requests_in_flight 3.0" in client.get("/metrics").text
        client.portal.call(engine.hold.set)
        assert [task.result() for task in waiting] == [200, 200]
        assert client.get("/items").status_code == 200


def test_readers_who_stall_hold_no_place(serve):
    sent, reading = [], asyncio.Event()

    async def send(message):
        sent.append(message)
        await reading.wait()

    with serve(max_concurrency=2) as client:
        waiting = [client.portal.start_task_soon(_get, client.app, "/", send) for _ in range(2)]
        while len(sent) < 2:
            client.portal.call(asyncio.sleep, 0)
        meanwhile = client.get("/").status_code
        client.portal.call(reading.set)
        assert meanwhile == 200
        assert [task.result() for task in waiting] == [None, None]
        assert [message.get("more_body") for message in sent] == [None, None, False, False]
        assert client.get("/").status_code == 200


def test_an_answer_that_is_not_taken_breaks_off(serve, monkeypatch, logged):
    monkeypatch.setattr(limits, "TAKING_SECONDS", 0.01)
    sent = []

    async def send(message):
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with serve() as client:
        client.portal.start_task_soon(_get, client.app, "/docs/swagger/swagger-ui-bundle.js", send).result()
    assert sent == ["http.response.start", "http.response.body"]
    assert [record for record in logged.records if record.levelname == "ERROR"] == []


async def _get(app, path, send):
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": []}
    received = asyncio.Queue()
    received.put_nowait({"type": "http.request"})
    await app(scope, received.get, send)


async def _post(app):
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        return (await client.post("/recommend", json=ASK)).status_code


@pytest.mark.parametrize("path", ["/items/m0", "/items/none", "/nowhere", "/livez", "/page/nothing.js"])
def test_every_response_has_an_id_and_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["X-Request-ID"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_a_decent_request_id_is_kept_and_another_replaced(client):
    given = client.post("/recommend", json=ASK, headers={"X-Request-ID": "shop-1.a:b"})
    assert given.headers["X-Request-ID"] == given.json()["request_id"] == "shop-1.a:b"
    for bad in ("", "a b", 'x"y', "z" * 129):
        assert client.get("/livez", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, "not_found"),
        ("GET", "/recommend", None, 405, "method_not_allowed"),
        ("POST", "/recommend", b"{", 422, "invalid_request"),
        ("POST", "/recommend", b"\xff\xfe", 422, "invalid_request"),
        ("POST", "/recommend", b"", 422, "invalid_request"),
    ],
)
def test_what_the_framework_refuses_has_the_same_body(client, method, path, body, status, code):
    response = client.request(method, path, content=body, headers=JSON)
    assert response.status_code == status
    assert response.json().keys() == {"code", "message", "request_id"}
    assert response.json()["code"] == code


def test_an_accident_shows_the_client_nothing_and_the_log_where_it_was(client, engine, logged):
    engine.trouble = [ZeroDivisionError("ann has m0")]
    response = client.post("/recommend", json={"user_id": "ann"}, headers={"X-Request-ID": "r1"})
    assert (response.status_code, response.json()["code"], response.json()["request_id"]) == (
        500,
        "internal_error",
        "r1",
    )
    lines = [json.loads(JsonFormatter().format(record)) for record in logged.records]
    accident = next(line for line in lines if line["logger"] == "gream.server")
    assert (accident["exception"], accident["request_id"]) == ("ZeroDivisionError", "r1")
    assert "api_fakes.py" in accident["at"][-1]
    assert not any("ann" in json.dumps(line) for line in lines)


def test_access_lines_name_the_route_and_the_key_but_nobody(serve, features, logged):
    with serve(api_keys="shop:secret") as client:
        auth = {"Authorization": "Bearer secret"}
        client.post("/recommend", json={"user_id": "ann", "k": 1}, headers=auth | {"X-Request-ID": "r1"})
        client.get("/users/ann/history", headers=auth)
        client.get("/users/nobody-of-that-name/history", headers=auth)
        client.get("/livez")
        features.down = True
        client.post("/recommend", json={"user_id": "ann"}, headers=auth)
    records = [record for record in logged.records if record.name == "gream.access"]
    lines = [json.loads(JsonFormatter().format(record)) for record in records]
    milliseconds = lines[0].pop("ms")
    assert milliseconds.keys() == {"features", "engine", "total"}
    assert milliseconds["total"] >= milliseconds["features"] + milliseconds["engine"] - 0.2
    assert {key: value for key, value in lines[0].items() if key != "time"} == {
        "level": "INFO",
        "logger": "gream.access",
        "message": "request",
        "request_id": "r1",
        "method": "POST",
        "route": "/recommend",
        "status": 200,
        "caller": "shop",
        "mode": "direct",
    }
    assert [(line["route"], line["status"], line.get("code")) for line in lines[1:3]] == [
        ("/users/{user_id}/history", 200, None),
        ("/users/{user_id}/history", 404, "unknown_user"),
    ]
    assert lines[3]["degraded"] == "features_unavailable"
    everything = json.dumps(lines)
    assert not any(secret in everything for secret in ("ann", "nobody-of-that-name", "m0", "secret"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ArtifactError("b/model.safetensors is missing or damaged."), "b/model.safetensors is missing or damaged."),
        (OSError(28, "No space left on device", "/state"), "[Errno 28] No space left on device: '/state'"),
        (sqlite3.OperationalError("database or disk is full"), "database or disk is full"),
        (RequestError("item 'm0' is not in the catalogue."), None),
        (ZeroDivisionError("ann has m0"), None),
    ],
)
def test_what_this_machine_said_is_logged_and_nothing_of_what_a_client_sent(error, reason):
    record = logging.LogRecord("a", logging.ERROR, "f.py", 1, "failed", (), (type(error), error, None))
    line = json.loads(JsonFormatter().format(record))
    assert (line["exception"], line.get("reason")) == (type(error).__name__, reason)
    assert "m0" not in json.dumps(line)


def test_log_lines_are_one_json_object_each():
    record = logging.LogRecord("a", logging.WARNING, "f.py", 1, "two\nlines %s", ("é",), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines é"
