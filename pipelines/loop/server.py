"""A server as a process of its own, from start to stop: `gream serve` for the loop, for the benchmark others too."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from gream.errors import GreamError

READY_SECONDS: Final = 180.0
STOP_SECONDS: Final = 60.0
HISTORY: Final = 10
"""Most recent events of a user that are served: nearly everybody has so many from the start. Histories that grew longer
while people come again would be a change of their own."""


class ServerError(GreamError):
    """The server did not start, or does not serve what it should."""


@contextmanager
def served(policy: Path, catalog: Path, state: Path, log: Path, key: str) -> Iterator[str]:
    """Serve what stands at `policy` while the block runs.

    Args:
        policy: a bundle, or a link that changes.
        catalog: where histories come from.
        state: folder of the server.
        log: file for what it prints.
        key: of the user hashes in its evidence.

    Yields:
        Its URL; it is ready.

    Raises:
        ServerError: it does not become ready.
    """
    port = free_port()
    command = [str(Path(sys.executable).with_name("gream")), "serve", "--policy", str(policy)]
    command += ["--catalog", str(catalog), "--port", str(port)]
    settings = {"GREAM_STATE": str(state), "GREAM_EVIDENCE_KEY": key, "GREAM_POLICY_POLL_SECONDS": "1"}
    # Visitors come again and nobody leaves: unless histories end somewhere they grow, and that is drift.
    settings["GREAM_HISTORY_WINDOW"] = str(HISTORY)
    with running(command, f"http://127.0.0.1:{port}", settings, log) as url:
        yield url


@contextmanager
def running(command: Sequence[str], url: str, settings: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run a server while the block runs.

    Args:
        command: that starts it.
        url: where it then is; `/readyz` tells when.
        settings: its environment, beside that of this process.
        log: file for what it prints.

    Yields:
        The URL; it is ready.

    Raises:
        ServerError: it does not become ready.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=os.environ | settings, stdout=output, stderr=output, start_new_session=True
        )
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # The server must not outlive us.
    try:
        _wait_until_ready(url, server, log)
        yield url
    finally:
        signal.signal(signal.SIGTERM, before)
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(STOP_SECONDS)


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for_version(url: str, version: str) -> None:
    """Wait until the server serves a policy.

    Raises:
        ServerError: it does not within three minutes.
    """
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if httpx.get(f"{url}/readyz", timeout=30).json().get("policy_version") == version:
            return
        time.sleep(0.2)
    raise ServerError(f"the server did not take over policy {version} within {READY_SECONDS:.0f} s.")


def _wait_until_ready(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise ServerError(f"{url} was not ready within {READY_SECONDS:.0f} s; what the server said is in {log}.")
