"""`gream monitor` as on a cluster: a process whose every place is a store, and a KFP server that it starts runs on."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evidence_rows import request_evidence
from monitored_shop import at, decisions, make_shop, monitor
from pipelines_kfp_stub import kfp_stub

from gream.monitoring.evidence_store import push_evidence
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.integration

GREAM = str(Path(sys.executable).with_name("gream"))
WINDOW = 60
USERS = 30
WINDOWS = 6
KILLS = 8
SETTINGS = f"""
window_seconds = {WINDOW}
match_seconds = 0
grace_seconds = 0
hold_out_seconds = {WINDOW}

[calibration]
replicates = 1000
min_windows = 3
min_users = 10
"""


@pytest.fixture
def kfp():
    with kfp_stub() as stub:
        stub.hold("gream-retraining")
        yield stub


@pytest.fixture
def shop(bucket, tmp_path, kfp):
    """A champion in the store since some windows, with evidence of each; the catalog has a film that it lacks."""
    place, known = f"s3://{bucket}", ["m0", "m1", "m2", "m3"]
    environment, champion = make_shop(place, tmp_path, SETTINGS, known, [*known, "n0"], kfp.endpoint)
    first = -(-int(champion.since.timestamp()) // WINDOW) * WINDOW
    write_evidence(tmp_path / "evidence", f"{place}/evidence", champion.version, first)
    return environment, first


def write_evidence(folder, place, version, first):
    log = RequestLog(folder)
    for window in range(WINDOWS):
        log.write(
            request_evidence(
                f"{window}-{user}",
                timestamp=first + window * WINDOW + user,
                user=f"u{user:02}",
                last_level1=user % 2,
                policy_version=version,
                items=("m0", "m1"),
                scores=(-1.0, -2.0),
            )
            for user in range(USERS)
        )
    push_evidence(folder, place)


def test_a_monitor_that_is_killed_again_and_again_decides_once_and_starts_one_run(shop, kfp):
    environment, first = shop
    random.seed(0)
    end = first + WINDOWS * WINDOW
    for _ in range(KILLS):
        process = subprocess.Popen([*at(end), "monitor"], env=environment, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(1.0, 6.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    told = monitor(environment, end)
    assert told.returncode == 0, told.stderr
    decided = decisions(environment)
    assert [one.report.start for one in decided] == [first + number * WINDOW for number in range(WINDOWS)]
    runs = [one.id for one in decided if one.action == "index_new_items"]
    assert runs
    assert [run["display_name"] for run in kfp.runs.values()] == runs


def test_without_kfp_windows_are_judged_and_the_run_starts_when_it_is_back(shop, kfp):
    environment, first = shop
    deaf = environment | {"KFP_ENDPOINT": "http://127.0.0.1:1"}
    first_run = WINDOWS - 2
    told = monitor(deaf, first + first_run * WINDOW)
    assert told.returncode == 1
    assert "Error: http://127.0.0.1:1 does not answer" in told.stderr
    before = len(decisions(environment))
    told = monitor(deaf, first + WINDOWS * WINDOW)
    assert told.returncode == 1
    assert len(decisions(environment)) == WINDOWS > before
    assert kfp.runs == {}
    assert monitor(environment, first + WINDOWS * WINDOW).returncode == 0
    assert len(kfp.runs) == 1


def test_a_store_that_is_down_is_one_sentence_and_the_next_round_goes_on(shop, seaweed):
    environment, first = shop
    seaweed.stop()
    try:
        told = monitor(environment | {"GREAM_S3_RETRIES": "0"}, first + WINDOW)
    finally:
        seaweed.start()
    assert told.returncode == 1
    assert told.stderr.count("Error: ") == 1
    assert "Traceback" not in told.stderr
    assert monitor(environment, first + WINDOW).returncode == 0
    assert len(decisions(environment)) == 1


def test_a_round_without_a_window_that_is_due_fetches_nothing(shop, tmp_path):
    environment, first = shop
    monitor(environment, first + WINDOW)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"catalogs", "champions", "evidence"}
    told = monitor(environment | {"GREAM_CACHE": str(tmp_path / "another")}, first + WINDOW + 1)
    assert told.stdout == "0 windows were decided.\n"
    assert not (tmp_path / "another").exists()


def test_status_is_told_from_the_store_without_the_weights(shop, tmp_path):
    environment, first = shop
    monitor(environment, first + WINDOW)
    told = subprocess.run([GREAM, "status"], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "move 1, since" in told.stdout
    assert "Measured when it was trained: recall@10 0.2500." in told.stdout
    assert list((tmp_path / "cache").rglob("semantic_index"))
    assert not list((tmp_path / "cache").rglob("weights"))
