"""The online path as product engineers meet it: a real server, real Feast, a real engine."""

import json
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def test_a_user_is_recommended_items_of_the_catalogue_that_they_have_not_seen(client):
    history = client.get("/users/user-3/history").json()["entries"]
    assert [entry["item_id"] for entry in history] == ["item-3", "item-4", "item-5"]
    answer = client.post("/recommend", json={"user_id": "user-3", "k": 20}).json()
    ids = [item["item_id"] for item in answer["items"]]
    assert len(set(ids)) == 20
    assert set(ids).isdisjoint({"item-3", "item-4", "item-5"})
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    by_history = client.post("/recommend", json={"history": ["item-3", "item-4", "item-5"], "k": 20}).json()
    assert [item["item_id"] for item in by_history["items"]] == ids
    for item in answer["items"]:
        assert client.get(f"/items/{item['item_id']}").json()["tokens"] == item["tokens"]


def test_filters_work_inside_the_search_so_k_items_come_back(client):
    body = {"history": ["item-0"], "k": 15, "categories": ["garden"], "exclude": ["item-2"]}
    items = client.post("/recommend", json=body).json()["items"]
    assert len(items) == 15
    assert all("Garden" in item["categories"] for item in items)
    assert "item-2" not in [item["item_id"] for item in items]


def test_a_chain_is_streamed_and_ends_in_the_answer_that_comes_without_streaming(client):
    body = {"history": ["item-1", "item-2"], "k": 3, "mode": "reasoning"}
    plain = client.post("/recommend", json=body).json()
    with client.stream("POST", "/recommend", json=body, headers={"Accept": "text/event-stream"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert set(names[:-1]) == {"chain"}
    assert names[-1] == "result"
    # Half a letter at the end of these random chains is told with the answer alone.
    told = "".join(piece["text"] for piece in data[:-1]).strip()
    assert told == plain["reasoning"]["readable"].rstrip("\ufffd")
    assert data[-1]["reasoning"] == plain["reasoning"]
    assert data[-1]["items"] == plain["items"]


def test_many_at_once_are_all_answered_and_share_batches(server, client):
    def ask(number):
        with server.client() as own:
            mode = "reasoning" if number % 16 == 0 else "direct"
            return [
                own.post("/recommend", json={"user_id": f"user-{user % 40}", "mode": mode}).status_code
                for user in range(number, number + 20)
            ]

    with ThreadPoolExecutor(16) as threads:
        statuses = [status for found in threads.map(ask, range(16)) for status in found]
    assert statuses == [200] * 320
    exposed = client.get("/metrics").text
    assert "gream_illegal_items_total 0.0" in exposed
    assert "gream_requests_in_flight 1.0" in exposed
    sizes = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in exposed.splitlines() if line[0] != "#"}
    direct = sizes['gream_engine_batch_size_sum{mode="direct"}'] / sizes['gream_engine_batch_size_count{mode="direct"}']
    assert direct > 1.5


def test_metrics_of_the_engine_are_passed_through_and_no_user_is_in_any(client):
    client.get("/users/user-7/history")
    exposed = client.get("/metrics").text
    assert "gream_engine_" in exposed
    assert "user-7" not in exposed


def test_the_log_has_one_line_a_request_and_no_user(server, client):
    client.post("/recommend", json={"user_id": "user-9"}, headers={"X-Request-ID": "find-me"})
    client.get("/users/user-9/history")
    (line,) = [line for line in server.lines() if line.get("request_id") == "find-me"]
    assert (line["route"], line["status"], line["mode"]) == ("/recommend", 200, "direct")
    assert line["ms"].keys() == {"features", "engine", "total"}
    assert "user-9" not in server.log.read_text()


@pytest.mark.parametrize("path", ["/nowhere", "/healthz", "/docs.json", "/schema.json", "/a%0Ab", "/static_content/x"])
def test_paths_that_bentoml_would_answer_are_the_apps(client, path):
    assert client.get(path).json()["code"] == "not_found"


def test_the_page_is_served(client):
    assert client.get("/").headers["Content-Type"].startswith("text/html")


def test_gream_serve_offers_users_because_only_this_machine_can_ask(client):
    assert client.get("/users", params={"query": "user-3", "limit": 2}).json() == {"users": ["user-3", "user-30"]}


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(client):
    def endless():
        for _ in range(3_000):
            yield b" " * 65_536

    assert client.post("/recommend", content=endless()).status_code == 413


def test_traces_go_to_the_collector_through_both_services_and_name_no_user(client, collector):
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    client.get("/users/user-11/history", headers=parent)
    client.post("/recommend", json={"user_id": "user-11"}, headers=parent)

    def services():
        return {name for name in (b"gream", b"gream_engine") for body in list(collector.bodies) if exported(name, body)}

    def exported(service, body):
        return bytes.fromhex(trace) in body and bytes([len(service)]) + service in body

    while len(services()) < 2:
        time.sleep(0.1)
    assert not any(b"user-11" in body for body in collector.bodies)


def test_the_examples_of_the_documentation_work_as_printed(server, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the Debian package curl brings it")
    text = (Path(__file__).resolve().parents[4] / "docs" / "serving.md").read_text()
    examples = "\n".join(block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if block.startswith("curl"))
    # This shop has other items and users than the demo's.
    for printed, here in {"http://127.0.0.1:3000": server.url, "196": "user-1", "items/50": "items/item-50"}.items():
        examples = examples.replace(printed, here)
    script = f'set -e\ncurl() {{ command curl --silent --show-error --fail-with-body "$@"; echo; }}\n{examples}'
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count('"items":[{') >= 5
    assert '{"accepted":1,"duplicates":0}' in run.stdout
