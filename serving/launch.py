"""Start `bentoml serve` as a child, say when it is ready, and pass on the wish to stop."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from gream.errors import GreamError

SERVICE: Final = "serving.service:Recommender"
_LOOK_SECONDS: Final = 0.3


class ServeError(GreamError):
    """The server cannot be started, or ended by itself."""


def require_port(host: str, port: int) -> None:
    """Find out before the long start whether the port can be had.

    Raises:
        ServeError: it cannot.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        reason = str(error.strerror).partition(" (while ")[0]
        raise ServeError(f"{host}:{port} cannot be served on: {reason}.") from error


def serve_until_stopped(host: str, port: int, environment: Mapping[str, str]) -> None:
    """Serve until SIGINT or SIGTERM; what the engine is computing then is finished.

    Raises:
        ServeError: the server ended by itself.
    """
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", host, "--port", str(port)]
    # In a session of its own the server gets each signal once, from here, and not from the terminal as well.
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        server.terminate()

    before = {wish: signal.signal(wish, stop) for wish in (signal.SIGINT, signal.SIGTERM)}
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        if _wait_until_ready(server, f"{url}/readyz"):
            print(f"Ready at {url} (API reference: {url}/docs). Ctrl-C stops.", flush=True)
        code = server.wait()
    finally:
        for wish, handler in before.items():
            signal.signal(wish, handler)
    if not stopping:
        raise ServeError(f"the server ended by itself, with exit code {code}; what it said is above.")


def _wait_until_ready(server: "subprocess.Popen[bytes]", url: str) -> bool:
    """Wait until the server is ready, or gone."""
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # A proxy would not find this machine.
    while server.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError), directly.open(url, timeout=5):
            return True
        time.sleep(_LOOK_SECONDS)
    return False
