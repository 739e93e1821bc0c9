"""The engine behind a real `bentoml serve`."""

import json
import shutil
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine_server import engine_server
from tiny_policy import histories, write_tiny_policy

from gream.artifacts import content_digest
from serving.catalogue_copy import unpack

pytestmark = pytest.mark.integration


def point_to(link, folder):
    """Move a link in one step, as a deployment does."""
    fresh = link.with_name("next")
    fresh.symlink_to(folder)
    fresh.replace(link)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("engine service")


@pytest.fixture(scope="module")
def bundles(folder):
    """Three policies over the same items."""
    made = [folder / f"policy {number}" for number in range(3)]
    for seed, path in enumerate(made):
        write_tiny_policy(path, seed=seed, with_prior=True)
    return made


@pytest.fixture(scope="module")
def versions(bundles):
    return [content_digest(path)[:12] for path in bundles]


@pytest.fixture(scope="module")
def link(folder, bundles):
    path = folder / "latest"
    path.symlink_to(bundles[0])
    return path


@pytest.fixture(scope="module")
def server(folder, link):
    with engine_server(link, folder) as running:
        running.wait_until_ready()
        yield running


def test_requests_are_answered(server, versions):
    direct, reasoned = server.ask(
        {"history": ["item-1", "item-2"], "k": 3, "exclude": ["item-1"], "categories": ["books"]},
        {"history": ["item-1", "item-2"], "k": 2, "mode": "reasoning"},
    )
    assert [len(answer["items"]) for answer in (direct, reasoned)] == [3, 2]
    assert {direct["policy_version"], reasoned["policy_version"]} == {versions[0]}
    assert "item-1" not in [item["item_id"] for item in direct["items"]]
    assert reasoned["readable_chain"]
    served = server.policy()
    assert (served["policy_version"], served["engine"]) == (versions[0], "transformers")
    assert content_digest(Path(served["bundle"]))[:12] == versions[0]


def test_all_who_ask_get_the_catalogue_of_the_policy_that_answers(server, versions, tmp_path):
    with ThreadPoolExecutor(3) as others:
        asked = list(others.map(lambda _: server.catalogue(), range(3)))
    assert unpack(asked[0], tmp_path).name == versions[0]
    assert asked == [asked[0]] * 3


def test_logs_are_lines_of_json(server, versions):
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    (loaded,) = [line for line in lines if f"policy {versions[0]} is loaded in" in line["message"]]
    assert (loaded["logger"], loaded["level"]) == ("gream.engine", "INFO")


def test_what_cannot_be_answered_is_a_400_that_tells_nothing_of_the_history(server):
    response = server.post({"history": ["secret-item"]})
    assert response.status_code == 400
    assert "a history has an unknown item" in response.text
    assert "secret-item" not in response.text + server.log.read_text()


def test_a_chain_is_streamed_and_ends_with_the_answer(server):
    *pieces, answer = server.stream({"history": ["item-3", "item-4"], "mode": "reasoning", "k": 4})
    assert len(pieces) > 1
    assert answer["readable_chain"].startswith("".join(piece["text"] for piece in pieces))
    (plain,) = server.ask({"history": ["item-3", "item-4"], "mode": "reasoning", "k": 4})
    assert plain["chain"] == answer["chain"]
    assert [item["item_id"] for item in plain["items"]] == [item["item_id"] for item in answer["items"]]


def test_concurrent_requests_share_batches_and_are_counted(server):
    known = [f"item-{number}" for number in range(60)]
    before = server.metric("gream_policy_engine_requests_total", mode="direct", outcome="answered")
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda history: server.ask({"history": history})[0], histories(known, 72)))
    after = server.metric("gream_policy_engine_requests_total", mode="direct", outcome="answered")
    assert after - before == 72
    assert max(answer["batch_size"] for answer in answers) > 1
    assert server.metric("gream_policy_engine_illegal_items_total") == 0
    assert server.metric("gream_policy_engine_waiting", mode="direct") == 0


def test_a_new_policy_takes_over_under_load_without_a_failed_request(server, link, bundles, versions):
    known, seen, failures = [f"item-{number}" for number in range(60)], Counter(), []
    stop = threading.Event()

    def work(client):
        for history in 1_000 * histories(known, 10, seed=client):
            if stop.is_set():
                return
            response = server.post({"history": history, "mode": "reasoning" if client == 0 else "direct"})
            if response.status_code == 200:
                seen[response.json()[0]["policy_version"]] += 1
            else:
                failures.append(response.text)

    clients = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for client in clients:
        client.start()
    try:
        for place in (1, 2, 0):
            point_to(link, bundles[place])
            server.wait_for(
                lambda place=place: server.metric("gream_policy_engine_policy_info", version=versions[place]) == 1,
                f"the swap to policy {place}",
            )
            already = seen[versions[place]]
            server.wait_for(lambda place=place, n=already: seen[versions[place]] > n, f"an answer of policy {place}")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert failures == []
    assert set(seen) == set(versions)
    assert server.metric("gream_policy_engine_swaps_total") == 3


def test_a_broken_policy_does_not_take_over(server, link, bundles, versions, folder):
    broken = folder / "broken"
    shutil.copytree(bundles[1], broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    failed = server.metric("gream_policy_engine_failed_swaps_total")
    point_to(link, broken)
    server.wait_for(lambda: server.metric("gream_policy_engine_failed_swaps_total") > failed, "a failed swap")
    (answer,) = server.ask({"history": ["item-5"]})
    assert answer["policy_version"] == versions[0]
    assert server.get("/readyz").status_code == 200
    point_to(link, bundles[1])
    server.wait_for(
        lambda: server.ask({"history": ["item-5"]})[0]["policy_version"] == versions[1], "the swap to a sound policy"
    )


def test_from_nothing_to_too_much_to_the_end(folder, bundles, versions):
    late = folder / "late"
    limits = {"GREAM_ENGINE_QUEUE": "4", "GREAM_MAX_BATCH_REQUESTS": "4", "GREAM_MAX_BATCH": "1"}
    with engine_server(late, folder, **limits) as server:
        server.wait_for(server.is_up, "start")
        assert server.get("/readyz").status_code == 503
        assert server.post({"history": []}).status_code == 503
        late.symlink_to(bundles[0])
        server.wait_until_ready()

        request = {"history": ["item-1"], "mode": "reasoning"}
        with ThreadPoolExecutor(40) as clients:
            responses = list(clients.map(lambda _: server.post(request), range(40)))
            statuses = Counter(response.status_code for response in responses)
            assert set(statuses) == {200, 429}
            assert statuses[200] >= 5  # One under way and four in the queue, at least.
            refused = server.metric("gream_policy_engine_requests_total", mode="reasoning", outcome="overloaded")
            assert refused == statuses[429]
            assert "Traceback" not in server.log.read_text()

            last = [clients.submit(server.post, request) for _ in range(3)]
            server.wait_for(
                lambda: server.metric("gream_policy_engine_waiting", mode="reasoning") or all(f.done() for f in last),
                "a queue",
            )
            server.process.send_signal(signal.SIGTERM)
            assert [future.result().status_code for future in last] == [200, 200, 200]
        assert server.process.wait(timeout=60) == 0
