"""Evidence gets into the store, and off the disk, whatever the disk is like."""

import errno
import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from evidence_rows import request_evidence

from gream.monitoring.evidence_store import PUSHED, prune_evidence, push_evidence
from gream.monitoring.request_log import RequestLog
from serving.evidence import pusher as pusher_module
from serving.evidence.pusher import Pusher

pytestmark = pytest.mark.unit

URI = "s3://shop/evidence"


@pytest.fixture
def write(tmp_path):
    """Writes requests of three days ago, or of some hours later, each a part of its own."""
    log, then = RequestLog(tmp_path), int(time.time()) - 3 * 86_400
    return lambda *names, hours=0: [
        log.write([request_evidence(name, timestamp=then + hours * 3_600)])[0] for name in names
    ]


@pytest.fixture
def stored(server, tmp_path):
    """The files that the store has, as they are called here."""
    return lambda: {tmp_path / key.removeprefix("/shop/evidence/") for key in server.objects}


@contextmanager
def full_disk():
    """No mark is made inside; deleting needs no room."""
    with pytest.MonkeyPatch.context() as full:
        for name in ("mkdir", "touch"):
            full.setattr(Path, name, no_room_for_marks(getattr(Path, name)))
        yield


def no_room_for_marks(honest):
    def attempt(path, *arguments, **options):
        if PUSHED in path.parts and not path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(path, *arguments, **options)

    return attempt


def here(tmp_path):
    """The files; folders may go while it looks."""
    return {Path(folder) / name for folder, _, names in os.walk(tmp_path) for name in names}


def test_a_replica_recovers_from_an_outage_that_filled_its_disk(server, tmp_path, write, stored, wait, monkeypatch):
    monkeypatch.setattr(pusher_module, "PUSH_SECONDS", 0.01)
    monkeypatch.setenv("GREAM_S3_RETRIES", "0")
    marked = write("a", "b")
    assert push_evidence(tmp_path, URI) == 2
    waiting = write("c", "d", hours=1) + write("e", hours=72)
    server.failures = 1_000_000
    with full_disk():
        running = Pusher(tmp_path, URI, lambda: None)
        running.start()
        wait(lambda: here(tmp_path) == {*waiting})
        assert stored() == {*marked}
        server.failures = 0
        wait(lambda: here(tmp_path) == set())
        running.stop()
    assert stored() == {*marked, *waiting}


def test_a_part_that_cannot_be_read_holds_up_no_other_and_is_said(server, tmp_path, write, stored):
    first, *others = sorted(write("a", "b", "c")) + write("d", hours=5)
    first.unlink()
    first.mkdir()
    with pytest.raises(OSError, match=rf"parts that stay behind: 1, first {first} \("):
        push_evidence(tmp_path, URI)
    assert stored() == {*others}
    assert prune_evidence(tmp_path, before=int(time.time()) - 2 * 86_400) == 3
    assert here(tmp_path) == set()


def test_what_went_up_unmarked_and_is_written_again_does_not_go_up_again(server, tmp_path, write):
    (part,) = write("a")
    with full_disk():
        assert push_evidence(tmp_path, URI) == 1
    assert here(tmp_path) == set()
    assert write("a") == [part]  # As after a crash between the file and the end of its spool.
    assert push_evidence(tmp_path, URI) == 0
    assert here(tmp_path) == {part, tmp_path / PUSHED / part.relative_to(tmp_path)}
