"""The engine behind `bentoml.depends()`: its streams are cut anywhere, its errors come in BentoML's words."""

import asyncio
import time
from http import HTTPStatus

import aiohttp
import bentoml
import pytest
from aiohttp import web
from bentoml.exceptions import BentoMLException, InvalidArgument, ServiceUnavailable

from gream.errors import RequestError
from serving.api.engine import EngineBusyError, EngineNotReadyError
from serving.api.remote_engine import CALLS, RemoteEngine
from serving.contracts import ChainPiece, EngineAnswer, EngineRequest, ServedPolicy
from serving.engine.service import PolicyEngineService

pytestmark = pytest.mark.unit

ASK = EngineRequest(history=(), mode="reasoning")
SERVED = ServedPolicy(policy_version="abc", bundle="/b", engine="e")
ANSWER = EngineAnswer(items=(), chain="é", policy_version="abc", batch_size=1, engine_seconds=0.1)
PIECES = [ChainPiece(text="one\n"), ChainPiece(text="two")]


class Service:
    """What `depends` resolves to. Calls raise the `errors` one after another, None being none, and then answer."""

    def __init__(self, *errors, chunks=()):
        self.errors = list(errors)
        self.chunks = chunks
        self.calls = []

    async def policy(self):
        return self._call("policy", SERVED)

    async def recommend(self, requests):
        return self._call("recommend", [ANSWER for _ in requests])

    async def stream(self, request):
        for chunk in self._call("stream", self.chunks):
            yield chunk

    def _call(self, name, value):
        self.calls.append(name)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return value


def collect(service):
    async def run():
        return [piece async for piece in RemoteEngine(service).stream(ASK)]

    return asyncio.run(run())


def test_calls_are_passed_on():
    engine = RemoteEngine(Service())
    assert asyncio.run(engine.policy()) == SERVED
    assert asyncio.run(engine.recommend((ASK, ASK))) == [ANSWER, ANSWER]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_is_put_together_however_it_was_cut(size):
    text = "".join(part.model_dump_json(ensure_ascii=True) + "\n" for part in [*PIECES, ANSWER])
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    assert collect(Service(chunks=chunks)) == [*PIECES, ANSWER]


@pytest.mark.parametrize("lines", [[], [PIECES[0]]])
def test_a_stream_without_an_answer_has_failed(lines):
    chunks = [line.model_dump_json() + "\n" for line in lines]
    with pytest.raises(EngineNotReadyError):
        collect(Service(chunks=chunks))


@pytest.mark.parametrize(
    ("error", "known_as"),
    [
        (InvalidArgument("no"), RequestError),
        (BentoMLException("full", error_code=HTTPStatus.TOO_MANY_REQUESTS), EngineBusyError),
        (BentoMLException("late", error_code=HTTPStatus.GATEWAY_TIMEOUT), TimeoutError),
        (ServiceUnavailable("loading"), EngineNotReadyError),
        (BentoMLException("500"), EngineNotReadyError),
        (aiohttp.ClientPayloadError(), EngineNotReadyError),
        (ConnectionRefusedError(), EngineNotReadyError),
        (TimeoutError(), TimeoutError),
    ],
)
def test_errors_are_told_apart(error, known_as):
    with pytest.raises(known_as):
        asyncio.run(RemoteEngine(Service(error)).recommend([ASK]))
    with pytest.raises(known_as):
        collect(Service(None, error))


def test_an_engine_without_a_policy_is_not_ready():
    with pytest.raises(EngineNotReadyError):
        asyncio.run(RemoteEngine(Service(ServiceUnavailable("loading"))).policy())


def test_a_connection_that_had_grown_old_is_no_trouble():
    service = Service(aiohttp.ServerDisconnectedError())
    assert asyncio.run(RemoteEngine(service).recommend([ASK])) == [ANSWER]
    assert service.calls == ["recommend", "policy", "recommend"]
    service = Service(aiohttp.ServerDisconnectedError())
    assert asyncio.run(RemoteEngine(service).policy()) == SERVED
    assert service.calls == ["policy", "policy"]


def test_an_engine_that_broke_a_connection_and_is_gone_is_not_asked_again():
    broken = aiohttp.ServerDisconnectedError
    service = Service(broken(), broken(), broken())
    with pytest.raises(EngineNotReadyError):
        asyncio.run(RemoteEngine(service).recommend([ASK]))
    assert service.calls == ["recommend", "policy", "policy"]


def test_an_engine_that_is_being_started_again_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("serving.api.remote_engine.LIFE_SECONDS", 0.01)
    service = Service(aiohttp.ServerDisconnectedError())

    async def silent():
        await asyncio.Event().wait()

    service.policy = silent
    with pytest.raises(EngineNotReadyError, match="no sign of life"):
        asyncio.run(RemoteEngine(service).recommend([ASK]))


def test_a_pause_of_this_process_is_not_the_engines_death(monkeypatch):
    monkeypatch.setattr("serving.api.remote_engine.LIFE_SECONDS", 0.01)
    service = Service(aiohttp.ServerDisconnectedError())
    honest, pauses = service.policy, [2 * 0.01]

    async def policy():
        if pauses:
            time.sleep(pauses.pop())
            for _ in range(3):  # Whoever answers over a network does not answer at once.
                await asyncio.sleep(0)
        return await honest()

    service.policy = policy
    assert asyncio.run(RemoteEngine(service).recommend([ASK])) == [ANSWER]


def test_what_waited_for_a_place_is_not_sent_to_an_engine_that_was_told_to_stop(monkeypatch):
    """It finishes what it has, and takes connections that it does not answer."""
    monkeypatch.setattr("serving.api.remote_engine.LIFE_SECONDS", 0.01)

    async def scenario():
        go, sent = asyncio.Event(), []
        service = Service()

        async def recommend(requests):
            sent.append(requests)
            await go.wait()
            return [ANSWER]

        async def silent():
            await asyncio.Event().wait()

        service.recommend, service.policy = recommend, silent
        engine = RemoteEngine(service)
        asked = [asyncio.create_task(engine.recommend([ASK])) for _ in range(CALLS + 1)]
        await asyncio.sleep(0)
        go.set()
        *answers, refusal = await asyncio.gather(*asked, return_exceptions=True)
        assert answers == [[ANSWER]] * CALLS
        assert isinstance(refusal, EngineNotReadyError)
        assert len(sent) == CALLS

    asyncio.run(scenario())


class HeldEngine:
    """An engine behind HTTP that names its policy at once and computes only when it is let.

    Attributes:
        held: requests that it is computing.
        go: lets it.
    """

    def __init__(self):
        self.held = 0
        self.go = asyncio.Event()

    async def policy(self, _):
        return web.json_response(SERVED.model_dump())

    async def recommend(self, _):
        await self._wait()
        return web.json_response([ANSWER.model_dump()])

    async def stream(self, _):
        await self._wait()
        return web.Response(text=ANSWER.model_dump_json(ensure_ascii=True) + "\n")

    async def _wait(self):
        self.held += 1
        await self.go.wait()


def test_a_direct_request_does_not_wait_for_chains():
    async def scenario():
        go = asyncio.Event()
        service = Service()

        async def recommend(requests):
            if requests[0].mode == "reasoning":
                await go.wait()
            return [ANSWER for _ in requests]

        service.recommend = recommend
        engine = RemoteEngine(service)
        chains = [asyncio.create_task(engine.recommend([ASK])) for _ in range(2 * CALLS)]
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            assert await engine.recommend([EngineRequest(history=())]) == [ANSWER]
        go.set()
        await asyncio.gather(*chains)

    asyncio.run(scenario())


def test_an_engine_that_is_full_of_requests_still_names_its_policy(monkeypatch):
    """More requests than BentoML's client has connections."""
    monkeypatch.setattr("serving.api.remote_engine.LIFE_SECONDS", 60)  # The engine shares this loop, and its pauses.

    async def scenario():
        held = HeldEngine()
        app = web.Application()
        app.add_routes([web.post(f"/{name}", getattr(held, name)) for name in ("policy", "recommend", "stream")])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        PolicyEngineService.inject_config()  # As the server does; else the client keeps no service's settings.
        proxy = bentoml.depends(PolicyEngineService, url=f"http://127.0.0.1:{runner.addresses[0][1]}").get()
        async with asyncio.timeout(60):
            await proxy.__aenter__()
            engine = RemoteEngine(proxy)

            async def chain():
                return [piece async for piece in engine.stream(ASK)]

            asked = [asyncio.create_task(engine.recommend([EngineRequest(history=())])) for _ in range(100)]
            asked += [asyncio.create_task(chain()) for _ in range(50)]
            while held.held < 2 * CALLS:
                for task in asked:
                    if task.done():
                        task.result()  # What went wrong, rather than that nothing comes.
                await asyncio.sleep(0.01)
            assert (await engine.policy()).policy_version == SERVED.policy_version
            held.go.set()
            assert await asyncio.gather(*asked) == [[ANSWER]] * 150
            await proxy.close()
            await runner.cleanup()

    asyncio.run(scenario())
