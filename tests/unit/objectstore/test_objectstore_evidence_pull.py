"""Evidence comes out of the store: several parts at a time, what lacks, and what breaks off with the next pull."""

import threading

import pytest
from evidence_rows import START, request_evidence

from gream.errors import StoreError
from gream.monitoring.evidence import Window
from gream.monitoring.evidence_store import pull_evidence
from gream.monitoring.request_log import RequestLog
from gream.objectstore.artifacts import PARALLEL_FILES

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
    return lambda: sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


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
