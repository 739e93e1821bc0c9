"""A server that dies in the middle and comes back costs patience, not data."""

import random
import threading

import pytest

from gream.objectstore import bucket as bucket_module
from gream.objectstore import fetch_artifact, publish_artifact

pytestmark = pytest.mark.integration


class OutageAfter:
    """Stops the server once `files` transfers have ended, and starts it again from another thread."""

    def __init__(self, seaweed, files):
        self._seaweed = seaweed
        self._left = files
        self._lock = threading.Lock()
        self._restart = threading.Thread(target=seaweed.start)

    def __call__(self, transfer):
        def transferred(*arguments):
            outcome = transfer(*arguments)
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    self._seaweed.stop()
                    self._restart.start()
            return outcome

        return transferred

    def wait_for_the_restart(self):
        """Fails where there was no outage."""
        self._restart.join(timeout=60)


@pytest.mark.parametrize("verb", ["upload", "download"])
def test_transfers_survive_a_restart_of_the_server(verb, bucket, seaweed, make_artifact, tmp_path, monkeypatch):
    uri = f"s3://{bucket}/outage"
    generator = random.Random(0)
    parts = {f"part{n:02}": generator.randbytes(2**20) for n in range(20)}
    folder = make_artifact("bundle", **parts, large=generator.randbytes(40 * 2**20))
    outage = OutageAfter(seaweed, files=8)
    if verb == "download":
        publish_artifact(folder, uri)
    transfer = getattr(bucket_module.Bucket, verb)
    monkeypatch.setattr(bucket_module.Bucket, verb, outage(transfer))
    if verb == "upload":
        publish_artifact(folder, uri)
    fetched = fetch_artifact(uri, tmp_path / "cache")
    outage.wait_for_the_restart()
    assert {path.name: path.read_bytes() for path in (fetched / "deep").iterdir()} == {
        path.name: path.read_bytes() for path in (folder / "deep").iterdir()
    }
