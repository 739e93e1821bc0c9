"""A real Redis on loopback that a test can stop, freeze and start again."""

import signal
import socket
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

START_LIMIT_S = 30
PASSWORD = "p'a ss\"#$x"  # Characters that a shell or YAML would take for its own.


class RedisServer:
    """Nothing is kept on disk: started again, it is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def connection_string(self) -> str:
        return f"127.0.0.1:{self.port},password={PASSWORD}"

    def client(self) -> Redis:
        return Redis(port=self.port, password=PASSWORD)

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", *options, "--requirepass", PASSWORD], stdout=log)
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.client().ping()
                return
            except RedisConnectionError:
                assert time.monotonic() < deadline, (self._folder / "redis.log").read_text()
                time.sleep(0.02)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process:
            self.thaw()
            self._process.terminate()
            self._process.wait()
            self._process = None
