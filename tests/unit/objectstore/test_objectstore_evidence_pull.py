"""Evidence comes out of the store: several parts at a time, what lacks, and what breaks off with the next pull."""

import errno
import os
import threading

import pytest
from evidence_rows import START, request_evidence

from gream.errors import StoreError
from gream.locks import held_if_free
from gream.monitoring.evidence import Window
from gream.monitoring.evidence_store import PULLING, pull_evidence
from gream.monitoring.request_log import RequestLog
from gream.objectstore.artifacts import PARALLEL_FILES
from gream.objectstore.bucket import Bucket

pytestmark = pytest.mark.unit

WINDOW = Window(START, START + 3_600)
PARTS = 2 * PARALLEL_FILES


@pytest.fixture
def parts(server, tmp_path):
    """Of one hour in the store, as they are called below a folder."""
    log = RequestLog(tmp_path / "replica")
    files = [log.write([request_evidence(str(number))])[0] for number in range(PARTS)]
    names = [file.relative_to(tmp_path / "replica").as_posix() for file in files]
    server.objects |= {f"/shop/evidence/{name}": file.read_bytes() for name, file in zip(names, files, strict=True)}
    return sorted(names)


@pytest.fixture
def pull(server, tmp_path):
    return lambda: pull_evidence("s3://shop/evidence", WINDOW, 0, tmp_path / "here")


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    return lambda: sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*/*/*"))


def test_parts_come_several_at_a_time(server, parts, pull, here):
    server.meeting = threading.Barrier(PARALLEL_FILES, timeout=20)  # Nobody gets one before so many ask.
    assert pull() == PARTS
    assert here() == parts


def test_of_many_parts_the_one_that_lacks_comes(server, parts, pull, here, tmp_path):
    pull()
    (tmp_path / "here" / parts[3]).unlink()
    server.ranges.clear()
    assert pull() == 1
    assert len(server.ranges) == 1
    assert here() == parts


def test_a_pull_that_breaks_off_in_one_part_says_so_and_the_next_one_brings_the_rest(
    server, parts, pull, here, tmp_path, monkeypatch
):
    monkeypatch.setenv("GREAM_S3_RETRIES", "0")
    server.cut_after = 100
    with pytest.raises(StoreError, match="does not answer"):
        pull()
    came = [name for name in here() if name in parts]
    assert len(came) < PARTS
    assert pull() == PARTS - len(came)
    assert here() == parts  # Nor is anything left of the one that broke off.


def test_a_full_disk_loses_what_nobody_wants(server, parts, pull, here, tmp_path, monkeypatch):
    old = tmp_path / "here" / "requests" / "date=2020-01-01" / "hour=00" / "part-old.parquet"
    old.parent.mkdir(parents=True)
    old.touch()
    os.utime(old, (0, 0))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "download", full)
        with pytest.raises(OSError, match="No space left"):
            pull()
    assert not old.exists()
    assert pull() == PARTS
    assert here() == parts


def test_pulls_into_one_folder_wait_for_each_other(server, parts, pull, tmp_path, monkeypatch):
    """One would take what another has half of for a leftover."""
    free = []
    download = Bucket.download

    def look(*arguments):
        with held_if_free(tmp_path / "here" / PULLING) as held:
            free.append(held)
        return download(*arguments)

    monkeypatch.setattr(Bucket, "download", look)
    assert pull() == PARTS
    assert free == [False] * PARTS
    with held_if_free(tmp_path / "here" / PULLING) as held:
        assert held
