"""The engine on a real vLLM (CPU), beside the Transformers engine on the same policy."""

import importlib.util
import threading

import numpy as np
import pytest
from engine_server import engine_server
from tiny_policy import histories, write_tiny_policy

from gream.artifacts import content_digest
from gream.errors import ConfigError
from serving.contracts import EngineRequest
from serving.engine.transformers_engine import TransformersEngine

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here"),
]

N_ITEMS = 150
KNOWN = [f"item-{number}" for number in range(N_ITEMS)]
TIE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vllm")


@pytest.fixture(scope="module")
def bundle(folder):
    """In float32. So cold that chains leave little to chance, and with a seed whose chains cite often."""
    path = folder / "policy"
    write_tiny_policy(path, seed=7, n_items=N_ITEMS, with_prior=True, chain_temperature=0.01)
    return path


@pytest.fixture(scope="module")
def reference(bundle):
    return TransformersEngine.load(bundle, content_digest(bundle)[:12])


@pytest.fixture(scope="module")
def server(bundle, folder):
    environment = {
        "GREAM_ENGINE": "vllm",
        "GREAM_VLLM_CACHE_GIB": "0.5",
        "GREAM_VLLM_EAGER": "true",
        "GREAM_ENGINE_TIMEOUT_SECONDS": "200",
        "GREAM_MAX_BATCH": "8",
        "TORCHDYNAMO_DISABLE": "1",  # What vLLM compiles beside the model costs more than these tests.
    }
    with engine_server(bundle, folder, **environment) as running:
        running.wait_until_ready()
        yield running


def both(server, reference, requests):
    """The answers of vLLM and of Transformers to the same requests."""
    answers = server.ask(*(request.model_dump(mode="json") for request in requests))
    return list(zip(answers, reference.recommend(requests), strict=True))


def test_direct_mode_finds_the_same_items(server, reference):
    requests = [EngineRequest(history=tuple(history)) for history in histories(KNOWN, 200)]
    different = 0
    for found, expected in both(server, reference, requests):
        assert len(found["items"]) == 10
        np.testing.assert_allclose(
            [item["score"] for item in found["items"]], [item.score for item in expected.items], atol=TIE
        )
        theirs = {item.item_id for item in expected.items}
        odd = [item for item in found["items"] if item["item_id"] not in theirs]
        different += bool(odd)
        # What only one of them has, ties with the last one of the other.
        assert all(abs(item["score"] - expected.items[-1].score) < TIE for item in odd)
    assert different <= 2


def test_filters_and_sizes_as_on_transformers(server, reference):
    requests = [
        EngineRequest(history=("item-1", "item-2"), k=k, categories=categories, exclude=exclude)
        for k, categories, exclude in [
            (30, (), ()),
            (1, ("games",), ()),
            (10, ("garden",), ("item-2", "item-5")),
            (N_ITEMS, (), ("item-9",)),
            (10, (), tuple(KNOWN[3:])),
        ]
    ]
    for found, expected in both(server, reference, requests):
        assert sorted(item["item_id"] for item in found["items"]) == sorted(item.item_id for item in expected.items)


def test_reasoning_cites_the_history_alone_and_answers_as_transformers_does_after_the_same_chain(server, reference):
    requests = [EngineRequest(history=tuple(h), mode="reasoning", k=5) for h in histories(KNOWN, 60, seed=1)]
    same, cited = 0, 0
    for request, (found, expected) in zip(requests, both(server, reference, requests), strict=True):
        assert set(found["cited"]) <= set(request.history)
        cited += len(found["cited"])
        if found["chain"] == expected.chain:
            agree = [item["item_id"] for item in found["items"]] == [item.item_id for item in expected.items]
            same += agree
            assert agree or "\ufffd" in expected.chain  # There, different tokens may look alike.
    assert cited > 10
    assert same > 25  # In the others two tokens were too close for the temperature to leave no choice.


def test_chains_are_streamed(server):
    *pieces, answer = server.stream({"history": ["item-3", "item-4"], "mode": "reasoning", "k": 4})
    assert pieces
    assert answer["readable_chain"].startswith("".join(piece["text"] for piece in pieces))
    assert len(answer["items"]) == 4


def test_a_start_that_fails_leaves_no_thread_behind(bundle, monkeypatch):
    """A policy that cannot be loaded is tried again every few minutes, beside one that serves."""
    from serving.engine import vllm_engine

    async def no_room(_):
        raise RuntimeError("no room beside the old one")

    monkeypatch.setattr(vllm_engine, "_start", no_room)
    before = threading.enumerate()
    with pytest.raises(RuntimeError, match="no room"):
        vllm_engine.VllmEngine.load(bundle, "v")
    assert threading.enumerate() == before


def test_what_vllm_is_told_of_memory_gpus_and_compiling_is_what_the_variables_say(bundle, monkeypatch):
    from serving.engine import vllm_engine

    told = []

    async def note(arguments):
        told.append(arguments)
        raise RuntimeError("that is enough")

    monkeypatch.setattr(vllm_engine, "_start", note)
    of_them = {"GREAM_VLLM_TENSOR_PARALLEL": "2", "GREAM_VLLM_CACHE_GIB": "0.5", "GREAM_VLLM_EAGER": "true"}
    for changed in (of_them, dict.fromkeys(of_them, "")):
        for variable, value in changed.items():
            monkeypatch.setenv(variable, value)
        with pytest.raises(RuntimeError, match="that is enough"):
            vllm_engine.VllmEngine.load(bundle, "v")
    found = [(one.tensor_parallel_size, one.kv_cache_memory_bytes, one.enforce_eager) for one in told]
    assert found == [(2, 2**29, True), (1, 2**31, False)]


def test_its_metrics_are_passed_through(server, bundle):
    assert server.metric("gream_policy_engine_policy_info", engine="vllm", version=content_digest(bundle)[:12]) == 1
    text = server.get("/metrics").text
    assert "vllm:prompt_tokens_total" in text
    assert "vllm:prefix_cache_hits_total" in text


def test_an_index_too_wide_for_a_gpu_is_refused_before_a_process_starts(bundle, monkeypatch):
    from serving.engine import vllm_engine

    monkeypatch.setattr(vllm_engine, "GPU_CHOICES", 2)
    monkeypatch.setattr(type(vllm_engine.current_platform), "is_cuda", lambda _: True)
    monkeypatch.setattr(vllm_engine, "_start", lambda *_: pytest.fail("it starts"))
    with pytest.raises(ConfigError, match=r"^vLLM chooses among at most 2 tokens on a GPU, but \d+ follow .* index"):
        vllm_engine.VllmEngine.load(bundle, "v")
