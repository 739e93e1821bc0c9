"""Items, users, the policy."""

import threading
from contextlib import suppress

import polars as pl
import pytest
from api_fakes import OPENING

from serving.api.catalogue import PolicyCatalogue

pytestmark = pytest.mark.unit


def test_an_item_is_shown_with_its_tokens(client):
    assert client.get("/items/m5").json() == {
        "item_id": "m5",
        "title": "Titanic (1997)",
        "description": "About Titanic (1997).",
        "brand": "",
        "categories": ["Drama", "Romance"],
        "tokens": ["<|a_2|>", "<|b_2|>", "<|c_1|>", "<|e_2|>"],
    }


def test_an_unknown_item_is_not_found(client):
    response = client.get("/items/m6")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_item")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("amelie", ["m2"]),
        ("AMÉLIE", ["m2"]),
        ("runner blade", ["m3"]),
        ("titanic 1997", ["m5"]),
        ("ali", ["m0", "m1"]),
        ("n alien a alien", ["m0", "m1"]),
        ("i 19", ["m4", "m5", "m0", "m1"]),
        ("19 i", ["m0", "m1", "m4", "m5"]),
        ("9 199", ["m5"]),
        ("a " * 128, ["m0", "m1", "m2", "m3", "m4", "m5"]),
        ("xyz", []),
        ("", ["m0", "m1", "m2", "m3", "m4", "m5"]),
    ],
)
def test_items_are_found_by_words_of_their_titles(client, query, found):
    items = client.get("/items", params={"query": query}).json()["items"]
    assert [item["item_id"] for item in items] == found


def test_a_search_has_a_limit(client):
    assert len(client.get("/items", params={"limit": 2}).json()["items"]) == 2
    assert client.get("/items", params={"limit": 101}).json()["code"] == "invalid_request"


def test_one_search_runs_at_a_time(client, monkeypatch):
    two, met = threading.Barrier(2), []

    def search(catalogue, query, limit):
        with suppress(threading.BrokenBarrierError):
            met.append(two.wait(0.3))
        return []

    monkeypatch.setattr(PolicyCatalogue, "search", search)
    searches = [client.portal.start_task_soon(_search, client.app) for _ in range(2)]
    assert [one.result() for one in searches] == [200, 200]
    assert met == []


async def _search(app):
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        return (await client.get("/items")).status_code


def test_a_history_is_shown_with_what_the_policy_knows_of_its_items(client):
    body = client.get("/users/bob/history").json()
    assert body["user_id"] == "bob"
    assert [(entry["item_id"], entry["title"], entry["timestamp"]) for entry in body["entries"]] == [
        ("m5", "Titanic (1997)", OPENING),
        ("gone", None, OPENING + 1),
        ("m4", "Titanic (1953)", OPENING + 2),
        ("gone", None, OPENING + 3),
    ]
    assert body["entries"][1]["tokens"] == []


def test_ids_may_hold_slashes(client, features):
    features.histories["a/history/b"] = ["m0"]
    body = client.get("/users/a%2Fhistory%2Fb/history").json()
    assert (body["user_id"], [entry["item_id"] for entry in body["entries"]]) == ("a/history/b", ["m0"])
    assert client.get("/items/a%2Fb").json()["code"] == "unknown_item"
    assert 'route="/items/{item_id}"' in client.get("/metrics").text


def test_an_unknown_user_and_a_silent_store_are_different_errors(client, features):
    unknown = client.get("/users/somebody/history")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_user")
    assert "somebody" not in unknown.json()["message"]
    features.down = True
    silent = client.get("/users/ann/history")
    assert (silent.status_code, silent.json()["code"]) == (503, "features_unavailable")
    assert silent.headers["Retry-After"] == "2"


def test_users_are_listed_only_where_the_server_is_told_to(client, serve, tmp_path):
    assert client.get("/users").json()["code"] == "not_found"
    table = tmp_path / "interactions.parquet"
    pl.DataFrame({"user_id": ["b2", "a", "b1", "b2"], "item_id": ["x"] * 4}).write_parquet(table)
    with serve(sample_users=table, state=tmp_path / "other") as listing:
        assert listing.get("/users").json() == {"users": ["a", "b1", "b2"]}
        assert listing.get("/users", params={"query": "b", "limit": 1}).json() == {"users": ["b1"]}


def test_the_policy_shows_its_card(client, engine):
    body = client.get("/policy").json()
    assert {name: body[name] for name in body if name not in ("model_card", "metrics")} == {
        "policy_version": engine.version,
        "engine": "fake",
        "dataset": "films",
        "profile": "laptop",
        "stage": "srpo",
        "items": 6,
    }
    assert body["model_card"].startswith("# GREAM policy for films")
