"""Real processes: two that decide at once, one that is killed while it writes."""

import multiprocessing
import os
import signal
import time
from itertools import count

import pytest
from evidence_rows import START, request_evidence

from gream.monitoring.decision import DecisionSettings
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Freeze
from gream.monitoring.evidence import Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.judgement import MonitorResult, WindowReport
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.integration

SPAWN = multiprocessing.get_context("spawn")
HOUR = 3_600
WORKERS = 4
BATCH = 50


def bad_window(hour, version):
    """The report of an hour in which quality alarms."""
    result = MonitorResult(
        name="hit_rate", group="quality", statistic=0.5, threshold=0.1, users=99, raised=True, alarm=True
    )
    return WindowReport(
        start=START + hour * HOUR,
        end=START + (hour + 1) * HOUR,
        policy_version=version,
        requests=9,
        users=9,
        results=(result,),
        counts=(),
        missing=(),
        skipped=(),
    )


def decide_all(place, number, barrier):
    """Decide on a window of one's own, at the same moment as the others."""
    log = DecisionLog(place)
    barrier.wait()
    log.decide(bad_window(0, f"champion{number}"), START + HOUR, DecisionSettings())


def test_of_processes_that_decide_at_once_one_retrains(tmp_path):
    place = str(tmp_path / "decisions.jsonl")
    barrier = SPAWN.Barrier(WORKERS, timeout=120)
    workers = [SPAWN.Process(target=decide_all, args=(place, number, barrier)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    actions = sorted(entry.action for entry in DecisionLog(place).entries())
    assert actions == ["retrain", "warn", "warn", "warn"]


def append_for_ever(place):
    log = DecisionLog(place)
    for number in count():
        log.append(Freeze(at=number, by="ada", reason="x" * 20_000))


def test_a_record_survives_the_kill_of_who_writes_it(tmp_path):
    place = tmp_path / "decisions.jsonl"
    for _ in range(3):
        killed_in_the_middle(append_for_ever, (str(place),), lambda: place.exists())
        numbers = [entry.at for entry in DecisionLog(str(place)).entries()]
        assert numbers
        place.unlink()


def write_for_ever(folder):
    log = RequestLog(folder)
    for batch in count():
        log.write(request_evidence(f"{batch}-{row}") for row in range(BATCH))


def test_evidence_survives_the_kill_of_who_writes_it(tmp_path):
    parts = tmp_path / "requests" / "date=2024-10-04" / "hour=00"
    killed_in_the_middle(write_for_ever, (tmp_path,), lambda: parts.is_dir() and len(list(parts.glob("part-*"))) > 3)
    evidence = read_evidence(tmp_path, Window(START, START + HOUR), 0, "key")
    assert evidence.requests.height >= 3 * BATCH
    assert evidence.requests.height % BATCH == 0
    assert {one.reason for one in evidence.skipped} <= {"was never finished, or is no part of the log"}


def killed_in_the_middle(work, arguments, started):
    """Run work in a process of its own, and kill it some time after it has started."""
    worker = SPAWN.Process(target=work, args=arguments)
    worker.start()
    while not started():
        assert worker.is_alive()
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
