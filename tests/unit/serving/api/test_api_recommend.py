"""What /recommend and /recommend/batch answer when all is well, and when some of it is not."""

import asyncio
import threading

import httpx
import pytest

pytestmark = pytest.mark.unit


def ids(answer):
    return [item["item_id"] for item in answer["items"]]


def test_a_history_is_answered_with_items_of_the_catalogue(recommend, engine):
    answer = recommend(history=["m0", "m2"], k=2)
    assert answer["items"][0] == {
        "item_id": "m1",
        "title": "Aliens (1986)",
        "score": -1.0,
        "tokens": ["<|a_1|>", "<|b_1|>", "<|c_2|>"],
        "categories": ["Sci-Fi", "Action"],
        "why": {
            "text": "Much like Alien (1979) in the history (2 of 3 index levels are shared).",
            "because": "m0",
            "shared_levels": 2,
        },
    }
    assert ids(answer) == ["m1", "m3"]
    assert (answer["mode"], answer["policy_version"], answer["reasoning"]) == ("direct", engine.version, None)
    assert (answer["degraded"], answer["degraded_reason"], answer["ignored_items"]) == (False, None, [])


def test_a_user_is_answered_by_the_history_of_the_feature_store(recommend, engine):
    assert ids(recommend(user_id="ann")) == ["m1", "m3", "m4", "m5"]
    assert engine.asked[0].history == ("m0", "m2")


def test_an_item_of_the_history_is_named_however_long_its_id_is(serve, engine, features, wordy_bundle):
    engine.serve(wordy_bundle)
    features.histories["ann"] = ["m" * 284]
    with serve() as client:
        answer = client.post("/recommend", json={"user_id": "ann", "k": 1})
    assert answer.status_code == 200
    assert answer.json()["items"][0]["why"]["because"] == "m" * 284


def test_new_items_alone_can_be_asked_for(serve, engine, grown_bundle):
    engine.serve(grown_bundle)
    with serve() as client:
        client.post("/recommend", json={"history": ["m0"], "new_only": True})
        client.post("/recommend", json={"history": ["m0"]})
    assert [request.new_only for request in engine.asked] == [True, False]


def test_filters_reach_the_engine_and_k_items_come_back(recommend, engine):
    answer = recommend(history=["m0"], k=1, exclude=["m3", "unheard-of"], categories=["Romance"])
    assert ids(answer) == ["m2"]
    assert set(engine.asked[0].exclude) == {"m3", "unheard-of", "m0"}


def test_seen_items_that_only_a_successor_knows_do_not_come_back_either(recommend, engine):
    answer = recommend(user_id="bob")
    assert answer["ignored_items"] == ["gone"]
    assert set(engine.asked[0].exclude) == {"m5", "m4", "gone"}


def test_seen_items_may_come_back_on_request(recommend):
    answer = recommend(history=["m0"], k=1, exclude_seen=False)
    assert ids(answer) == ["m0"]
    assert answer["items"][0]["why"]["text"] == "It is in the history already."


def test_reasoning_comes_with_its_chain_and_what_it_cites(recommend):
    answer = recommend(history=["m0"], mode="reasoning", k=1)
    text = "evidence: [Alien (1979)] | wants: more"
    assert answer["reasoning"] == {"chain": text, "readable": text, "cited": ["m0"]}


def test_unknown_items_of_a_history_are_left_out_and_listed(recommend, engine):
    assert recommend(user_id="bob")["ignored_items"] == ["gone"]
    assert engine.asked[0].history == ("m5", "m4")
    assert recommend(history=["x", "y", "m0"])["ignored_items"] == ["x", "y"]


@pytest.mark.parametrize("body", [{"user_id": "nobody"}, {"user_id": "empty"}, {"history": []}])
def test_without_a_history_the_policy_says_what_people_begin_with_and_nothing_is_degraded(recommend, engine, body):
    answer = recommend(**body, k=1)
    assert engine.asked[0].history == ()
    assert ids(answer) == ["m0"]
    assert answer["degraded"] is False
    assert answer["items"][0]["why"]["because"] is None


def test_without_the_feature_store_the_answer_is_degraded_and_says_so(recommend, features, client):
    features.down = True
    answer = recommend(user_id="ann", k=1)
    assert ids(answer) == ["m0"]
    assert (answer["degraded"], answer["degraded_reason"]) == (True, "features_unavailable")
    assert 'gream_degraded_total{reason="features_unavailable"} 1.0' in client.get("/metrics").text
    assert recommend(history=["m0"])["degraded"] is False


def test_a_feature_store_that_fails_in_an_unforeseen_way_degrades_too_and_is_logged(recommend, features, logged):
    features.histories_of = lambda user_ids: 1 // 0
    assert recommend(user_id="ann", k=1)["degraded_reason"] == "features_unavailable"
    (record,) = [record for record in logged.records if record.name == "gream.features"]
    assert (record.levelname, record.exc_info[0]) == ("ERROR", ZeroDivisionError)


def test_a_feature_store_that_hangs_is_not_waited_for(recommend, features):
    features.hold = threading.Event()
    try:
        assert recommend(user_id="ann")["degraded_reason"] == "features_unavailable"
    finally:
        features.hold.set()


def test_where_the_filters_leave_nothing_the_answer_is_empty(recommend, engine):
    everything = [f"m{number}" for number in range(6)]
    for body in (
        {"exclude": everything},
        {"categories": ["Westerns"]},
        {"categories": ["horror"], "exclude": ["m0"]},
        {"new_only": True},
    ):
        assert recommend(history=[], **body)["items"] == []
    assert engine.asked == []


def test_only_the_most_recent_part_of_a_long_stored_history_is_used(serve, engine, features):
    features.histories["ann"] = ["m0"] * 5 + ["m1", "m2"]
    with serve(max_history=2) as client:
        client.post("/recommend", json={"user_id": "ann"})
    assert engine.asked[0].history == ("m1", "m2")


def test_a_batch_is_answered_in_order_and_asked_at_once(client, engine):
    requests = [
        {"user_id": "ann", "k": 1},
        {"history": [], "categories": ["none"]},
        {"user_id": "bob", "mode": "reasoning"},
    ]
    answers = client.post("/recommend/batch", json={"requests": requests}).json()["responses"]
    assert [ids(answer)[:1] for answer in answers] == [["m1"], [], ["m0"]]
    assert [answer["mode"] for answer in answers] == ["direct", "direct", "reasoning"]
    assert len(engine.asked) == 2


def test_the_users_of_a_batch_are_read_together(client, engine, features):
    read, honest = [], features.histories_of

    def histories_of(user_ids):
        read.append(set(user_ids))
        return honest(user_ids)

    features.histories_of = histories_of
    requests = [{"user_id": "ann"}, {"history": ["m4"]}, {"user_id": "bob"}, {"user_id": "nobody"}, {"user_id": "ann"}]
    assert client.post("/recommend/batch", json={"requests": requests}).status_code == 200
    assert read == [{"ann", "bob", "nobody"}]
    assert [request.history for request in engine.asked] == [("m0", "m2"), ("m4",), ("m5", "m4"), (), ("m0", "m2")]


def test_between_the_responses_of_a_batch_others_get_their_turn(client):
    assert client.portal.call(_counted, client.app, 3) >= {1, 2, 3}


async def _counted(app, size):
    """How many responses of a batch were there, as somebody else saw it meanwhile."""
    answers = app.state.parts.metrics.registry
    seen = set()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        batch = asyncio.create_task(client.post("/recommend/batch", json={"requests": [{"history": []}] * size}))
        while not batch.done():
            seen.add(answers.get_sample_value("gream_engine_batch_size_count", {"mode": "direct"}))
            await asyncio.sleep(0)
    assert batch.result().status_code == 200
    return seen


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"history": [], "k": 11}, "k: 11 is more than this server's limit of 10."),
        ({"history": ["m0"] * 5}, "history: 5 is more than this server's limit of 4."),
        ({"history": [], "exclude": ["m0"] * 5}, "exclude: 5 is more than this server's limit of 4."),
        ({"history": [], "categories": ["a"] * 5}, "categories: 5 is more than this server's limit of 4."),
    ],
)
def test_limits_are_said_in_one_sentence(serve, engine, body, message):
    with serve(max_k=10, max_history=4, max_batch_requests=2) as client:
        single = client.post("/recommend", json=body)
        batch = client.post("/recommend/batch", json={"requests": [{"history": []}, body]})
        too_many = client.post("/recommend/batch", json={"requests": [{"history": []}] * 3})
    assert (single.status_code, single.json()["code"], single.json()["message"]) == (422, "limit_exceeded", message)
    assert (batch.status_code, batch.json()["message"]) == (422, f"requests[1].{message}")
    assert too_many.json()["message"] == "requests: 3 is more than this server's limit of 2."
    assert engine.asked == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "body: give either user_id or history, not both and not neither"),
        ({"user_id": "ann", "history": []}, "body: give either user_id or history, not both and not neither"),
        ({"history": [], "kk": 1}, "body.kk: Extra inputs are not permitted"),
        ({"history": [], "k": "3"}, "body.k: Input should be a whole number"),
        ({"history": [], "k": True}, "body.k: Input should be a whole number"),
        ({"history": [], "k": 1.5}, "body.k: Input should be a valid integer, got a number with a fractional part"),
        ({"history": [], "mode": "slow"}, "body.mode: Input should be 'direct' or 'reasoning'"),
        ({"user_id": ""}, "body.user_id: String should have at least 1 character"),
    ],
)
def test_a_request_that_does_not_fit_is_told_where(client, body, message):
    response = client.post("/recommend", json=body)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["message"] == message
