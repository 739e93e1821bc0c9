"""The whole online path, started as an operator starts it, and stopped in every way it can be."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

START_LIMIT_S = 240


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server.

    Attributes:
        url: where it listens.
        log: the file that it writes to.
    """

    def __init__(self, process, port, log):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def wait_until_ready(self):
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"not ready (exit code {self.process.poll()}):\n{self.log.read_text()[-6_000:]}")

    def worker(self, service):
        """The process of a service (`gream`, `gream_engine`)."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            arguments = process.cmdline()
            if "--service-name" in arguments and arguments[arguments.index("--service-name") + 1] == service:
                return process
        raise AssertionError(f"no process of {service}")

    def kill(self):
        """SIGKILL to all its processes at once."""
        family = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
        for process in family:
            process.kill()
        psutil.wait_procs(family[:-1])
        self.process.wait()

    def stop(self):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)

    def lines(self):
        """What it logged as JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def running(command, folder: Path, port, **environment):
    """Runs a server until the block ends; whatever is left of it is killed."""
    log = folder / f"server-{port}-{time.monotonic_ns()}.log"
    variables = {name: value for name, value in os.environ.items() if not re.match("GREAM_|BENTOML_|OTEL_", name)}
    variables |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "GREAM_STATE": str(folder / "state")}
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=variables | environment, cwd=folder
        )
    server = Server(process, port, log)
    try:
        yield server
    finally:
        if process.poll() is None:
            server.kill()


@contextmanager
def gream_serve(policy, folder, *arguments, **environment):
    """`gream serve`, ready."""
    port = free_port()
    gream = Path(sys.executable).with_name("gream")
    command = [str(gream), "serve", "--policy", str(policy), "--port", str(port), *arguments]
    with running(command, folder, port, **environment) as server:
        server.wait_until_ready()
        yield server
