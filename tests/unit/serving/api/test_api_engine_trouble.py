"""An engine that is loading, busy, slow, gone or swapped: each has its answer, and nothing hangs."""

import asyncio
import gc
import weakref
from types import SimpleNamespace

import pytest
from api_fakes import FakeEngine

from gream.errors import ArtifactError, RequestError
from serving.api.catalogue import PolicyCatalogue
from serving.api.engine import EngineBusyError, EngineNotReadyError

pytestmark = pytest.mark.unit

ASK = {"history": ["m0"], "k": 1}


def refusal(response):
    body = response.json()
    return response.status_code, body["code"], response.headers.get("Retry-After")


def test_while_the_policy_is_loading_requests_are_sent_away_and_come_back_later(serve, engine):
    engine.ready = False
    with serve(wait_until_ready=False) as client:
        for call in (client.post("/recommend", json=ASK), client.get("/items"), client.get("/policy")):
            assert refusal(call) == (503, "engine_not_ready", "5")
        assert refusal(client.get("/readyz")) == (503, "engine_not_ready", "5")
        assert client.get("/livez").status_code == 200
        assert engine.asked == []
        engine.ready = True
        client.portal.call(client.app.state.parts.watch.look)
        assert client.post("/recommend", json=ASK).status_code == 200
        assert client.get("/readyz").json() == {
            "status": "ready",
            "policy_version": engine.version,
            "features": "up",
        }


def test_a_busy_engine_is_said_to_be_overloaded(client, engine):
    engine.trouble = [EngineBusyError()]
    assert refusal(client.post("/recommend", json=ASK)) == (503, "engine_overloaded", "1")
    assert refusal(client.post("/recommend/batch", json={"requests": [ASK]})) == (503, "engine_overloaded", "1")
    assert client.get("/readyz").status_code == 200


def test_a_slow_engine_is_not_waited_for(serve, engine):
    with serve(engine_timeout_seconds=0.05) as client:
        engine.hold = asyncio.Event()
        assert refusal(client.post("/recommend", json=ASK)) == (503, "engine_timeout", "1")
        assert refusal(client.post("/recommend?stream=true", json=ASK | {"mode": "reasoning"})) == (
            503,
            "engine_timeout",
            "1",
        )


def test_an_engine_that_went_away_is_not_asked_again_before_it_is_seen_to_answer(serve, engine):
    with serve() as client:
        engine.ready = False
        engine.trouble = [EngineNotReadyError()]
        assert refusal(client.post("/recommend", json=ASK)) == (503, "engine_not_ready", "5")
        assert refusal(client.post("/recommend", json=ASK)) == (503, "engine_not_ready", "5")
        assert len(engine.asked) == 1
        assert client.get("/readyz").status_code == 503
        assert client.get("/items/m0").status_code == 200  # What is known of the catalogue stays known.
        engine.ready, engine.trouble = True, []
        client.portal.call(client.app.state.parts.watch.look)
        assert client.post("/recommend", json=ASK).status_code == 200


def test_after_one_broken_call_the_engine_is_looked_at_at_once(client, engine):
    engine.trouble = [EngineNotReadyError(), None]
    assert refusal(client.post("/recommend", json=ASK)) == (503, "engine_not_ready", "5")
    while not client.app.state.parts.watch.ready:
        client.portal.call(asyncio.sleep, 0)
    assert client.post("/recommend", json=ASK).status_code == 200


@pytest.mark.parametrize("accident", [ZeroDivisionError(), EngineNotReadyError()])
def test_the_watch_outlives_every_accident(serve, engine, accident, monkeypatch):
    monkeypatch.setattr("serving.api.policy_watch.LOOK_AGAIN_SECONDS", 0.01)
    honest, accidents = engine.policy, []

    async def policy():
        if len(accidents) < 3:
            accidents.append(1)
            raise accident
        return await honest()

    engine.policy = policy
    with serve(wait_until_ready=False) as client:
        while not client.app.state.parts.watch.ready:
            client.portal.call(asyncio.sleep, 0)
        assert len(accidents) == 3


def test_an_engine_that_is_lost_for_good_is_a_reason_to_start_anew(client, engine, monkeypatch):
    engine.ready = False
    client.portal.call(client.app.state.parts.watch.look)
    assert client.get("/livez").json() == {"status": "alive"}
    monkeypatch.setattr("serving.api.policy_watch.LOST_SECONDS", -1.0)
    assert refusal(client.get("/livez")) == (503, "engine_not_ready", "5")


def test_an_engine_elsewhere_is_no_reason_to_start_this_server_anew(serve, engine, monkeypatch):
    with serve(engine_url="http://engine:3000") as client:
        engine.ready = False
        client.portal.call(client.app.state.parts.watch.look)
        monkeypatch.setattr("serving.api.policy_watch.LOST_SECONDS", -1.0)
        assert client.get("/livez").status_code == 200


def test_after_a_swap_titles_and_reasons_are_those_of_the_policy_that_answered(client, engine, smaller_bundle):
    first = client.get("/policy").json()["policy_version"]
    engine.serve(smaller_bundle)
    answer = client.post("/recommend", json={"history": ["m0"], "k": 5}).json()
    assert answer["policy_version"] == engine.version != first
    assert client.get("/policy").json()["policy_version"] == engine.version
    assert client.get("/items/m5").status_code == 404
    exposed = client.get("/metrics").text
    assert f'gream_policy_info{{dataset="films",stage="srpo",version="{engine.version}"}} 1.0' in exposed
    assert f'gream_policy_info{{dataset="films",stage="srpo",version="{first}"}} 0.0' in exposed


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_a_swap_overtakes_is_fitted_to_the_new_policy(client, engine, smaller_bundle, stream):
    catalogue = client.app.state.parts.watch.catalogue
    assert "m5" in catalogue
    engine.serve(smaller_bundle)
    response = client.post(
        "/recommend", params={"stream": stream}, json={"history": ["m0", "m5"], "k": 1, "mode": "reasoning"}
    )
    assert response.status_code == 200
    assert '"ignored_items":["m5"]' in response.text
    assert engine.asked[-1].history == ("m0",)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_meets_another_policy_both_times_is_sent_away(client, engine, stream):
    engine.trouble = [RequestError("m0 is not in the catalogue")]
    response = client.post("/recommend", params={"stream": stream}, json=ASK | {"mode": "reasoning"})
    assert refusal(response) == (503, "engine_not_ready", "5")
    assert "m0" not in response.text
    assert client.get("/readyz").status_code == 200


def test_an_answer_of_another_replica_gets_the_catalogue_of_its_policy(client, engine, smaller_bundle):
    """Two replicas of an engine swap at different moments: it is asked until the right one answers."""
    first = engine.version
    engine.serve(smaller_bundle)
    engine.named = [first, first]
    answer = client.post("/recommend", json=ASK).json()
    assert answer["policy_version"] == engine.version
    assert engine.named == []
    assert "gream_illegal_items_total 0.0" in client.get("/metrics").text


def test_while_replicas_differ_both_catalogues_are_kept(client, engine, bundle, smaller_bundle, monkeypatch):
    first = engine.version
    client.post("/recommend", json=ASK)
    engine.serve(smaller_bundle)
    client.post("/recommend", json=ASK)

    def read_again(*_):
        raise AssertionError("A catalogue was read again.")

    second = engine.version
    monkeypatch.setattr(PolicyCatalogue, "load", read_again)
    for version in (first, second, first, second):
        engine.named = [version]
        client.portal.call(client.app.state.parts.watch.look)
        assert client.get("/policy").json()["policy_version"] == version
        for engine.version in (first, second):  # Whichever replica answers.
            assert client.post("/recommend", json=ASK).json()["policy_version"] == engine.version


def test_a_catalogue_that_is_not_met_for_long_is_let_go(client, engine, bundle, smaller_bundle, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("serving.api.policy_watch.time", SimpleNamespace(monotonic=lambda: now[0]))
    watch, first = client.app.state.parts.watch, engine.version
    old = weakref.ref(watch.catalogue)

    def is_kept():
        client.portal.call(watch.look)
        gc.collect()
        return old() is not None

    engine.serve(smaller_bundle)
    assert is_kept()
    second, engine.version = engine.version, first  # A replica that has not swapped yet answers.
    now[0] = 599.0
    assert client.post("/recommend", json=ASK).json()["policy_version"] == first
    engine.version = second
    now[0] = 1_199.0
    assert is_kept()
    now[0] = 1_200.0
    assert not is_kept()
    assert client.get("/policy").json()["policy_version"] == second
    engine.serve(bundle)  # One that comes back late is read again.
    assert client.post("/recommend", json=ASK).json()["policy_version"] == first


def test_an_answer_whose_policy_nobody_names_is_not_given(client, engine, smaller_bundle):
    first = engine.version
    engine.serve(smaller_bundle)
    engine.named = [first] * 100
    assert refusal(client.post("/recommend", json=ASK)) == (503, "engine_not_ready", "5")
    assert client.get("/readyz").json()["policy_version"] == first
    assert "gream_illegal_items_total 0.0" in client.get("/metrics").text


@pytest.mark.parametrize("accident", [ArtifactError("another replica"), EngineNotReadyError(), ZeroDivisionError()])
def test_a_catalogue_that_cannot_be_had_leaves_the_one_before(client, engine, smaller_bundle, accident):
    first = engine.version
    other, honest = FakeEngine(smaller_bundle), engine.bundle

    async def bundle(served):
        raise accident

    engine.bundle, engine.named = bundle, [other.version]
    client.portal.call(client.app.state.parts.watch.look)
    assert client.get("/readyz").json()["policy_version"] == first
    assert client.post("/recommend", json=ASK).json()["policy_version"] == first
    engine.bundle = honest
    engine.serve(smaller_bundle)
    client.portal.call(client.app.state.parts.watch.look)
    assert client.get("/readyz").json()["policy_version"] == other.version


def test_a_catalogue_may_take_longer_than_an_answer(serve, engine, monkeypatch):
    monkeypatch.setattr("serving.api.policy_watch.ANSWER_SECONDS", 0.01)
    honest = engine.bundle

    async def bundle(served):
        await asyncio.sleep(0.1)
        return await honest(served)

    engine.bundle = bundle
    with serve() as client:
        assert client.get("/readyz").status_code == 200


def test_an_answer_of_a_known_policy_does_not_wait_for_a_catalogue_that_is_being_read(client, engine, smaller_bundle):
    first, other = engine.version, FakeEngine(smaller_bundle)
    reading, go = asyncio.Event(), asyncio.Event()

    async def bundle(served):
        reading.set()
        async with asyncio.timeout(30):  # An answer that did wait for it would come in the end, too late.
            await go.wait()
        return smaller_bundle

    engine.bundle, engine.named = bundle, [other.version]
    look = client.portal.start_task_soon(client.app.state.parts.watch.look)
    client.portal.call(reading.wait)
    assert client.post("/recommend", json=ASK).json()["policy_version"] == first
    assert not look.done()
    client.portal.call(go.set)
    look.result()
    assert client.get("/readyz").json()["policy_version"] == other.version


def test_items_outside_the_catalogue_are_counted(client, engine):
    assert "gream_illegal_items_total 0.0" in client.get("/metrics").text
    honest = engine._answer

    def forged(request):
        answer = honest(request)
        stranger = answer.items[0].model_copy(update={"item_id": "stranger"})
        return answer.model_copy(update={"items": (stranger,)})

    engine._answer = forged
    client.post("/recommend", json=ASK)
    assert "gream_illegal_items_total 1.0" in client.get("/metrics").text


def test_a_bundle_that_is_being_replaced_is_read_at_the_next_look(serve, engine, smaller_bundle):
    with serve() as client:
        old = engine.version
        other = FakeEngine(smaller_bundle)
        engine.version = other.version  # The folder still holds the old bundle.
        client.portal.call(client.app.state.parts.watch.look)
        assert client.get("/policy").json()["policy_version"] == old
        engine.folder = smaller_bundle
        client.portal.call(client.app.state.parts.watch.look)
        assert client.get("/policy").json()["policy_version"] == other.version
