"""Evidence of two replicas goes through the store, and a broken push is made good by the next one."""

import pytest

from gream.errors import StoreError
from gream.monitoring.evidence import RequestEvidence, Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.evidence_store import pull_evidence, push_evidence
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.integration

HOUR = 3_600
START = 20_000 * 86_400
WINDOW = Window(START, START + HOUR)


def request(name, hour=0):
    return RequestEvidence(
        request_id=name,
        timestamp=START + hour * HOUR,
        user="u",
        history_length=2,
        seconds_since_last=None,
        last_level1=None,
        top_category=None,
        unknown_items=0,
        cold=False,
        mode="direct",
        policy_version="champion",
        degraded=None,
        engine_ms=None,
        features_ms=None,
        total_ms=1.0,
        items=("m0",),
        scores=(-1.0,),
    )


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
