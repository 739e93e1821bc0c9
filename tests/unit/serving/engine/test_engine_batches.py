"""A batch of one caller is answered whole or refused whole; nothing of a refused one is left behind."""

import asyncio
import threading
from http import HTTPStatus

import pytest
from bentoml.exceptions import BentoMLException, InvalidArgument

from gream.artifacts import atomic_folder
from gream.errors import ConfigError, RequestError
from serving.contracts import EngineAnswer, EngineRequest, RankedItem
from serving.engine import service
from serving.engine.service import PolicyEngineService
from serving.settings import load_settings

pytestmark = pytest.mark.unit

ITEM = RankedItem(item_id="i", title="I", score=-1.0, tokens=("<|a_1|>",))


class Engine:
    """Answers when it is let, and refuses the item `unknown`.

    Attributes:
        asked: the items that it was asked with; the keeper, which tries a new policy, asks without any.
        go: lets it answer one batch.
    """

    alive = True

    def __init__(self, version):
        self.policy_version = version
        self.asked = []
        self.go = threading.Semaphore(0)

    @classmethod
    def batches_at_once(cls, settings):
        return settings.engine_batches

    def recommend(self, requests, listener=None):
        if any(request.history for request in requests):
            self.asked += [request.history[0] for request in requests]
            self.go.acquire()
        if any("unknown" in request.history for request in requests):
            raise RequestError("'unknown' is not in this policy's catalogue.")
        answer = EngineAnswer(items=(ITEM,), policy_version=self.policy_version, batch_size=1, engine_seconds=0.0)
        return [answer for _ in requests]

    def close(self):
        pass


@pytest.fixture
def engine(monkeypatch):
    engine = Engine("abc")
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, bundle, version: engine), raising=False)
    yield engine
    engine.go.release(100)


@pytest.fixture
def ask(request, engine, tmp_path, monkeypatch, wait):
    """Starts requests of one call each, in a service whose engine computes one at a time, or as many as the parameter
    says, and queues four."""
    with atomic_folder(tmp_path / "policy", "policy") as staging:
        (staging / "weights").write_text("none")
    monkeypatch.setenv("GREAM_POLICY", str(tmp_path / "policy"))
    monkeypatch.setenv("GREAM_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GREAM_MAX_BATCH", "1")
    monkeypatch.setenv("GREAM_ENGINE_BATCHES", getattr(request, "param", "1"))
    monkeypatch.setenv("GREAM_ENGINE_QUEUE", "4")
    monkeypatch.setenv("GREAM_MAX_BATCH_REQUESTS", "4")
    monkeypatch.setattr(service, "_engine_class", lambda name: Engine)
    monkeypatch.setattr(service, "use_json_logs", lambda: None)  # These are the test's own.
    served = PolicyEngineService.inner()
    wait(served.__is_ready__)

    def start(*items):
        requests = [EngineRequest(history=(item,)) for item in items]
        return asyncio.ensure_future(served.recommend(requests=requests))

    yield start
    served._keeper.stop()


def run(scenario):
    async def limited():
        async with asyncio.timeout(20):
            return await scenario()

    return asyncio.run(limited())


async def in_the_queue():
    """What was asked for has gone as far as it goes by itself."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(holds):
    while not holds():
        await asyncio.sleep(0.01)


def test_where_one_cannot_be_answered_the_others_are_not_computed_for_nobody(ask, engine):
    async def scenario():
        batch = ask("a", "unknown", "b", "c")
        await until(lambda: engine.asked == ["a"])
        engine.go.release(2)
        with pytest.raises(InvalidArgument):
            await batch
        last = ask("d")
        engine.go.release(100)
        await last

    run(scenario)
    assert engine.asked[-1] == "d"
    assert "c" not in engine.asked  # `b` was taken when `unknown` was answered.


@pytest.mark.parametrize("ask", ["2"], indirect=True)
def test_as_many_batches_are_computed_at_once_as_the_engine_says(ask, engine):
    async def scenario():
        batch = ask("a", "b", "c")
        await until(lambda: len(engine.asked) == 2)
        await in_the_queue()
        assert sorted(engine.asked) == ["a", "b"]
        engine.go.release(3)
        await batch

    run(scenario)


def test_what_was_let_in_of_a_batch_that_does_not_fit_makes_room_again(ask, engine):
    async def scenario():
        first = ask("first")
        await until(lambda: engine.asked == ["first"])
        others = ask("a", "b", "c")
        await in_the_queue()
        with pytest.raises(BentoMLException, match="4 requests are waiting") as refusal:
            await ask("d", "e")
        assert refusal.value.error_code == HTTPStatus.TOO_MANY_REQUESTS
        single = ask("f")
        engine.go.release(100)
        return [len(answers) for answers in await asyncio.gather(first, others, single)]

    assert run(scenario) == [1, 3, 1]
    assert engine.asked == ["first", "a", "b", "c", "f"]


def test_who_hangs_up_leaves_the_queue(ask, engine):
    async def scenario():
        first = ask("first")
        await until(lambda: engine.asked == ["first"])
        gone = ask("a", "b", "c", "d")
        await in_the_queue()
        gone.cancel()
        await asyncio.wait([gone])
        others = ask("e", "f", "g", "h")
        engine.go.release(100)
        await asyncio.gather(first, others)

    run(scenario)
    assert engine.asked == ["first", "e", "f", "g", "h"]


def test_a_batch_that_never_fits_the_queue_is_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("GREAM_ENGINE_QUEUE", "255")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(caught.value) == (
        "GREAM_MAX_BATCH_REQUESTS = 256 is not allowed: a batch waits in the engine's queue, which takes "
        "GREAM_ENGINE_QUEUE = 255 at most."
    )
    monkeypatch.setenv("GREAM_MAX_BATCH_REQUESTS", "255")
    assert load_settings().max_batch_requests == 255


def test_a_wrong_setting_is_named_without_the_command_line_too(monkeypatch):
    monkeypatch.setenv("GREAM_MAX_K", "3")
    with pytest.raises(ConfigError, match=r"^GREAM_MAX_K = '3' is not allowed: Input should be greater"):
        PolicyEngineService.inner()
