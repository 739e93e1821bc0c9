"""The engine's service as an operator starts it, on its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import psutil

START_LIMIT_S = 300


class EngineServer:
    """A running `bentoml serve` of the engine.

    Attributes:
        url: where it listens.
        log: the file that it writes to.
        process: the one that was started; it has children.
    """

    def __init__(self, process, url, log):
        self.process = process
        self.url = url
        self.log = log

    def get(self, path):
        """GET, whatever the status."""
        return httpx.get(self.url + path, timeout=60)

    def ask(self, *requests):
        """Answers to requests, given as JSON."""
        return self.post(*requests).raise_for_status().json()

    def post(self, *requests):
        """The response to requests, whatever the status."""
        return httpx.post(f"{self.url}/recommend", json={"requests": list(requests)}, timeout=120)

    def policy(self):
        """What it says of the served policy."""
        return httpx.post(f"{self.url}/policy", timeout=60).raise_for_status().json()

    def catalogue(self):
        """The served policy without its weights, packed."""
        return httpx.post(f"{self.url}/catalogue", timeout=60).raise_for_status().text

    def stream(self, request):
        """The lines of one streamed answer."""
        with httpx.stream("POST", f"{self.url}/stream", json={"request": request}, timeout=120) as response:
            response.raise_for_status()
            return [json.loads(line) for line in response.iter_lines()]

    def metric(self, name, **labels):
        """The value of one sample; None where there is none."""
        given = {f'{label}="{value}"' for label, value in labels.items()}
        for line in self.get("/metrics").text.splitlines():
            found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if found and given <= set((found[1] or "").split(",")):
                return float(found[2])
        return None

    def wait_for(self, condition, what):
        """Wait until a condition holds."""
        deadline = time.monotonic() + START_LIMIT_S
        while not condition():
            alive = self.process.poll() is None and time.monotonic() < deadline
            assert alive, f"{what} did not happen:\n{self.log.read_text()[-6_000:]}"
            time.sleep(0.1)

    def is_up(self):
        """Whether it answers at all."""
        try:
            return self.get("/livez").status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_ready(self):
        """Wait until `/readyz` says so."""
        self.wait_for(lambda: self.is_up() and self.get("/readyz").status_code == 200, "readiness")


@contextmanager
def engine_server(policy, folder, **environment):
    """Starts the service on a free port; whatever is left of it at the end is killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GREAM_", "BENTOML_"))}
    variables = inherited | {
        "OMP_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "1",
        "GREAM_POLICY": str(policy),
        "GREAM_STATE": str(folder / "state"),
        "GREAM_POLICY_POLL_SECONDS": "0.2",
    }
    service = "serving.engine.service:PolicyEngineService"
    command = [sys.executable, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    log = folder / f"server-{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=variables | environment, cwd=folder
        )
    try:
        yield EngineServer(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            _, left = psutil.wait_procs([*family, psutil.Process(process.pid)], timeout=60)
            for one in left:
                one.kill()
