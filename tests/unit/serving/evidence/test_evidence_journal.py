"""What the journal has taken stands in the log of requests, once, whatever happens on the way."""

import resource
from contextlib import contextmanager

import pytest

from gream.monitoring.request_log import RequestLog
from serving.evidence import journal as journal_module
from serving.evidence.journal import Waiting
from serving.evidence.spool import spool_line

pytestmark = pytest.mark.unit

START = 20_000 * 86_400
HOUR = 3_600


def ids(evidence):
    return evidence.requests["request_id"].to_list()


@contextmanager
def files_of_at_most(size):
    """As on a disk that is full: what is written beyond a size is cut, and the next write fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_requests_come_back_as_they_were(journal, read, request_row, told, tmp_path):
    rows = [
        request_row("a", degraded="features_unavailable", engine_ms=None, features_ms=None),
        request_row("b", timestamp=START + HOUR, items=(), scores=(), last_level1=None, top_category=None),
    ]
    running = journal()
    running.start()
    for row in rows:
        running.keep(row)
    running.stop()
    evidence = read()
    assert evidence.requests.rows(named=True) == [
        {**vars(row), "items": list(row.items), "scores": list(row.scores)} for row in rows
    ]
    assert (evidence.files, evidence.skipped) == (2, ())
    assert list((tmp_path / "spool").iterdir()) == []
    assert (told.requests, told.failures, told.waiting) == ({"kept": 2}, {}, Waiting(0, 0))


def test_the_log_is_written_while_the_journal_runs(journal, read, request_row, wait, monkeypatch):
    monkeypatch.setattr(journal_module, "ROUND_SECONDS", 0.01)
    running = journal()
    running.start()
    running.keep(request_row("a"))
    wait(lambda: ids(read()) == ["a"])
    running.keep(request_row("b"))
    wait(lambda: ids(read()) == ["a", "b"])
    running.stop()


def test_what_a_killed_process_leaves_the_next_one_writes(journal, restart, read, request_row, told):
    killed = journal()
    killed.keep(request_row("a"))
    killed.keep(request_row("b"))
    second = journal()
    second.keep(request_row("c"))
    restart()
    evidence = read()
    assert (ids(evidence), evidence.skipped) == (["a", "b", "c"], ())
    assert told.waiting == Waiting(0, 0)


def test_a_kill_between_writing_the_log_and_deleting_the_spool_counts_nothing_twice(
    journal, restart, read, parts, request_row, tmp_path
):
    killed = journal()
    for name, hour in {"a": 0, "b": 1, "c": 0}.items():
        killed.keep(request_row(name, timestamp=START + hour * HOUR))
    (spool,) = (tmp_path / "spool").iterdir()
    content = spool.read_bytes()
    restart()
    before = {path: path.read_bytes() for path in parts()}
    assert len(before) == 2
    # As if it had died just then, and while it wrote the second file for the first time.
    spool.write_bytes(content)
    second = parts()[1]
    second.with_name(f".{second.name}.1.partial").write_bytes(b"half")
    restart()
    assert {path: path.read_bytes() for path in parts()} == before
    evidence = read()
    assert (ids(evidence), evidence.skipped) == (["a", "c", "b"], ())
    assert not spool.exists()


@pytest.mark.parametrize("after_power_loss", [False, True])
def test_torn_lines_are_left_out_and_said(journal, restart, read, request_row, tmp_path, caplog, after_power_loss):
    killed = journal()
    killed.keep(request_row("a"))
    (spool,) = (tmp_path / "spool").iterdir()
    with spool.open("ab") as file:
        if after_power_loss:
            file.write(bytes(100) + b"\n" + spool_line(request_row("b")))
        file.write(spool_line(request_row("torn"))[:-20])
    restart()
    assert ids(read()) == (["a", "b"] if after_power_loss else ["a"])
    (record,) = [record for record in caplog.records if record.name == "gream.evidence"]
    lines = 2 if after_power_loss else 1
    assert record.getMessage() == f"{spool.name} had {lines} lines that were not whole; they are left out"


def test_a_full_disk_fails_nobody_and_is_tried_again(journal, read, request_row, told, caplog, wait, monkeypatch):
    monkeypatch.setattr(journal_module, "ROUND_SECONDS", 0.01)
    running = journal()
    size = len(spool_line(request_row("a")))
    with files_of_at_most(size + size // 2):
        for name in ("a", "b", "c"):
            running.keep(request_row(name))
    assert (told.requests, told.failures) == ({"kept": 1}, {"spool": 1})
    assert "evidence of requests does not get into the spool" in caplog.text
    running.start()
    wait(lambda: ids(read()) == ["a", "b", "c"])
    running.stop()
    assert read().skipped == ()
    assert told.requests == {"kept": 3}


def test_requests_beyond_what_memory_holds_are_counted_as_lost(
    journal, read, request_row, told, tmp_path, caplog, wait, monkeypatch
):
    monkeypatch.setattr(journal_module, "MAX_WAITING", 2)
    running = journal()
    (tmp_path / "spool").write_text("where a folder should be")
    for name in ("a", "b", "c"):
        running.keep(request_row(name))
    assert told.requests == {"lost": 1}
    running.start()
    wait(lambda: told.waiting is not None)
    assert told.waiting == Waiting(memory=2 * len(spool_line(request_row("a"))), spool=0)
    running.stop()
    assert told.requests == {"lost": 3}
    assert "the evidence of 2 requests is lost" in caplog.text


def test_a_log_that_cannot_be_written_is_written_later(journal, restart, read, request_row, told, tmp_path):
    running = journal()
    (tmp_path / "evidence").write_text("where a folder should be")
    for name in ("a", "b"):
        running.keep(request_row(name))
    running.start()
    running.stop()
    assert told.failures.keys() == {"log"}
    assert told.waiting.spool == sum(len(spool_line(request_row(name))) for name in ("a", "b"))
    (tmp_path / "evidence").unlink()
    restart()
    assert ids(read()) == ["a", "b"]
    assert told.waiting == Waiting(0, 0)


def test_a_journal_outlives_an_accident(journal, read, request_row, told, wait, monkeypatch):
    monkeypatch.setattr(journal_module, "ROUND_SECONDS", 0.01)
    honest = RequestLog.write

    def write(self, requests):
        monkeypatch.setattr(RequestLog, "write", honest)
        raise ZeroDivisionError

    monkeypatch.setattr(RequestLog, "write", write)
    running = journal()
    running.keep(request_row("a"))
    running.start()
    wait(lambda: ids(read()) == ["a"])
    running.stop()
    assert told.failures == {"log": 1}
