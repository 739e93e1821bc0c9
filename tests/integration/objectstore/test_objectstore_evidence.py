"""Evidence of two replicas goes through the store, and a broken push is made good by the next one."""

import os
import shutil
import time
from dataclasses import replace
from io import BytesIO

import pytest
from evidence_rows import START, request_evidence

from gream.errors import StoreError
from gream.monitoring.evidence import Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.evidence_store import prune_evidence, pull_evidence, push_evidence
from gream.monitoring.request_log import RequestLog
from serving.evidence import pusher
from serving.evidence.pusher import Pusher

pytestmark = pytest.mark.integration

HOUR = 3_600
WINDOW = Window(START, START + HOUR)


def request(name, hour=0):
    return request_evidence(name, timestamp=START + hour * HOUR)


def test_the_window_of_all_replicas_comes_down(bucket, tmp_path):
    uri, here = f"s3://{bucket}/evidence", tmp_path / "here"
    for replica in ("one", "two"):
        RequestLog(tmp_path / replica).write([request(replica), request(f"{replica} later", hour=5)])
        assert push_evidence(tmp_path / replica, uri) == 2
        assert push_evidence(tmp_path / replica, uri) == 0
    assert pull_evidence(uri, WINDOW, 0, here) == 2
    assert pull_evidence(uri, WINDOW, 0, here) == 0
    evidence = read_evidence(here, WINDOW, 0, "key")
    assert evidence.requests["request_id"].to_list() == ["one", "two"]
    assert evidence.skipped == ()
    later = Window(START + 6 * HOUR, START + 7 * HOUR)
    assert pull_evidence(uri, later, HOUR, here) == 2  # Their time for feedback ends in that window.


def test_what_is_erased_in_the_store_and_what_nobody_wants_for_long_leaves_the_cache(bucket, tmp_path, seaweed):
    uri, here = f"s3://{bucket}/evidence", tmp_path / "here"
    files = RequestLog(tmp_path / "one").write([request(name, hour) for hour, name in enumerate("abcd")])
    files += RequestLog(tmp_path / "one").write([request("erased", 3)])
    names = [file.relative_to(tmp_path / "one") for file in files]
    push_evidence(tmp_path / "one", uri)
    assert pull_evidence(uri, Window(START, START + 4 * HOUR), 0, here) == 5
    seaweed.client.remove_object(bucket, f"evidence/{names[4].as_posix()}")
    for name, days in ((names[0], 2), (names[1], 1), (names[3], 2)):
        os.utime(here / name, (time.time() - days * 86_400 - 60,) * 2)
    later = Window(START + 3 * HOUR, START + 4 * HOUR)
    assert pull_evidence(uri, later, 0, here) == 0
    left = {path.relative_to(here) for path in here.glob("*/*/*/*")}
    assert left == {names[1], names[2], names[3]}
    assert not (here / names[0]).parent.exists()


def test_unfinished_files_stay_and_cut_ones_come_again(bucket, tmp_path):
    uri, here = f"s3://{bucket}/evidence", tmp_path / "here"
    (file,) = RequestLog(tmp_path / "one").write([request("a")])
    file.with_name(f".{file.name}.7.partial").write_bytes(b"half")
    assert push_evidence(tmp_path / "one", uri) == 1
    pull_evidence(uri, WINDOW, 0, here)
    (copy,) = here.rglob("part-*")
    copy.write_bytes(copy.read_bytes()[:-9])
    assert pull_evidence(uri, WINDOW, 0, here) == 1
    assert read_evidence(here, WINDOW, 0, "key").requests.height == 1


def test_a_push_into_a_store_that_is_down_loses_nothing(bucket, tmp_path, seaweed, monkeypatch):
    uri = f"s3://{bucket}/evidence"
    RequestLog(tmp_path / "one").write([request("a"), request("b", hour=1)])
    with monkeypatch.context() as impatient:
        impatient.setenv("GREAM_S3_RETRIES", "0")
        seaweed.stop()
        with pytest.raises(StoreError, match="does not answer"):
            push_evidence(tmp_path / "one", uri)
    seaweed.start()
    assert push_evidence(tmp_path / "one", uri) == 2


def test_of_old_hours_only_what_the_store_has_is_deleted(bucket, tmp_path, keys):
    uri, here = f"s3://{bucket}/evidence", tmp_path / "here"
    old, new = RequestLog(here).write([request("old"), request("new", hour=1)])
    assert push_evidence(here, uri, since=START + HOUR) == 1  # The hour of the other one is over.
    assert prune_evidence(here, before=START + HOUR) == 0
    assert old.exists()
    assert push_evidence(here, uri) == 1
    assert prune_evidence(here, before=START + HOUR - 1) == 0
    assert prune_evidence(here, before=START + HOUR) == 1
    assert {path for path in here.rglob("*") if path.is_file()} == {new, here / "pushed" / new.relative_to(here)}
    assert not old.parent.exists()
    assert not (here / "pushed" / old.relative_to(here)).parent.exists()
    assert len(keys()) == 2
    assert push_evidence(here, uri) == 0


def test_what_was_erased_in_the_store_does_not_come_back_by_itself(bucket, tmp_path, seaweed, keys):
    uri, here = f"s3://{bucket}/evidence", tmp_path / "one"
    files = [RequestLog(here).write([request(name)])[0] for name in ("deleted", "redacted", "untouched")]
    deleted, redacted, untouched = (f"evidence/{file.relative_to(here).as_posix()}" for file in files)
    assert push_evidence(here, uri) == 3
    seaweed.client.remove_object(bucket, deleted)
    seaweed.client.put_object(bucket, redacted, BytesIO(b"nobody"), 6)
    assert push_evidence(here, uri) == 0
    RequestLog(here).write([request("deleted")])  # As after a crash between the file and the end of its spool.
    assert push_evidence(here, uri) == 0
    assert set(keys()) == {redacted, untouched}
    assert seaweed.client.stat_object(bucket, redacted).size == 6
    assert prune_evidence(here, before=START + HOUR) == 3
    assert push_evidence(here, uri) == 0


def test_a_push_that_was_killed_before_it_took_note_goes_up_where_the_store_lacks_it(bucket, tmp_path, seaweed, keys):
    uri, here = f"s3://{bucket}/evidence", tmp_path / "one"
    RequestLog(here).write([request("a"), request("b", hour=1)])
    assert push_evidence(here, uri) == 2
    shutil.rmtree(here / "pushed")
    seaweed.client.remove_object(bucket, keys()[0])
    assert push_evidence(here, uri) == 1
    assert len(keys()) == 2
    assert push_evidence(here, uri) == 0
    assert prune_evidence(here, before=START + 2 * HOUR) == 2


@pytest.mark.timeout(120)
def test_a_replica_pushes_by_itself_also_what_it_wrote_while_the_store_was_down(
    bucket, tmp_path, seaweed, keys, monkeypatch
):
    monkeypatch.setattr(pusher, "PUSH_SECONDS", 0.1)
    monkeypatch.setenv("GREAM_S3_RETRIES", "0")
    log, failures = RequestLog(tmp_path), []
    log.write([request("before the start")])
    running = Pusher(tmp_path, f"s3://{bucket}/evidence", lambda: failures.append(1))
    running.start()
    until(lambda: len(keys()) == 1)
    seaweed.stop()
    now = int(time.time())
    log.write([replace(request("while it is down"), timestamp=now), request("of an old hour", hour=1)])
    until(lambda: failures)
    seaweed.start()
    until(lambda: len(keys()) == 3)
    log.write([replace(request("at the stop"), timestamp=now)])
    running.stop()
    assert len(keys()) == 4


def until(holds):
    """Wait; the test's own time limit ends it otherwise."""
    while not holds():
        time.sleep(0.05)
