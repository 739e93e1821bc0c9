"""Accepted means durable and, sooner or later, delivered: once to the log, at least once to the feature store."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime

import polars as pl
import pytest

from gream.errors import RequestError
from gream.monitoring.evidence import FEEDBACK_SCHEMA
from serving.feedback import pump
from serving.feedback.feedback import LOG_FOLDER, OUTBOX_FILE, Accepted, Feedback, FeedbackError
from serving.feedback.log import FeedbackLog
from serving.feedback.outbox import Backlog, Outbox, Part, StoredEvent
from serving.feedback.writer import OutboxWriter

pytestmark = pytest.mark.unit


def accept(feedback, *events):
    return asyncio.run(feedback.accept(events))


def test_events_are_acknowledged_and_delivered_once(feedback, store, event, logged):
    running = feedback()
    assert accept(running, event("a"), event("b", "impression"), event("a")) == Accepted(new=2, duplicates=1)
    assert accept(running, event("b", "impression"), event("c", "purchase")) == Accepted(new=1, duplicates=1)
    running.stop()
    log = logged()
    assert sorted(log["event_id"]) == ["a", "b", "c"]
    assert dict(log.schema) == FEEDBACK_SCHEMA
    assert store.ids == {"a", "c"}


def test_requests_that_arrive_together_share_a_commit_and_get_their_own_answers(tmp_path, event):
    path = tmp_path / "outbox.sqlite"
    commits = []
    writer = OutboxWriter(path, on_commit=lambda: commits.append(1))
    together = [writer.submit([event(f"{number}"), event("shared")]) for number in range(50)]
    cancelled = writer.submit([event("given up")])
    assert cancelled.cancel()
    writer.start()
    assert [future.result() for future in together] == [[True, True]] + [[True, False]] * 49
    writer.stop()
    assert len(commits) == 1
    assert Outbox(path).backlog().log == 51


def test_a_crowd_of_requests_is_committed_in_groups_and_each_is_answered(tmp_path, event, monkeypatch):
    monkeypatch.setattr("serving.feedback.writer.MAX_GROUP", 3)
    path, commits = tmp_path / "outbox.sqlite", []
    writer = OutboxWriter(path, on_commit=lambda: commits.append(1))
    crowd = [writer.submit([event(f"{number}"), event("shared")]) for number in range(5)]
    writer.start()
    writer.stop()
    assert [future.done() and future.result() for future in crowd] == [[True, True]] + [[True, False]] * 4
    assert len(commits) == 3  # Of two requests, two and one.
    assert Outbox(path).backlog().log == 6


def test_a_part_of_the_log_that_is_full_waits_for_nobody(feedback, event, logged, wait, monkeypatch, tmp_path):
    monkeypatch.setattr(pump, "PART_SECONDS", 86_400)
    monkeypatch.setattr(pump, "PART_EVENTS", 3)
    backlogs = []
    running = feedback(on_backlog=backlogs.append)
    accept(running, *(event(f"{number}") for number in range(7)))
    wait(lambda: Backlog(log=1, features=0) in backlogs)
    assert logged()["event_id"].to_list() == ["0", "1", "2", "3", "4", "5"]
    running.stop()
    parts = sorted((tmp_path / LOG_FOLDER).rglob("*.parquet"))
    assert [pl.read_parquet(part)["event_id"].to_list() for part in parts] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_while_the_feature_store_is_down_the_log_goes_on_and_pushes_follow_later(
    feedback, store, event, logged, wait, monkeypatch
):
    monkeypatch.setattr(pump, "PART_SECONDS", 0)
    monkeypatch.setattr(pump, "FIRST_PAUSE_SECONDS", 0.01)
    store.down = True
    backlogs = []
    running = feedback(on_backlog=backlogs.append)
    accept(running, event("a"))
    wait(lambda: Backlog(log=0, features=1) in backlogs and store.failures > 1)
    assert logged()["event_id"].to_list() == ["a"]
    store.down = False
    accept(running, event("b"))
    wait(lambda: backlogs[-1] == Backlog(log=0, features=0))
    assert store.ids == {"a", "b"}


def test_pauses_between_attempts_double_up_to_half_a_minute(monkeypatch):
    now = 0.0
    monkeypatch.setattr(pump.time, "monotonic", lambda: now)
    receiver = pump.Receiver("it")
    pauses = []
    for _ in range(8):
        receiver.failed(OSError())
        begun = now
        while not receiver.due:
            now += 0.5
        pauses.append(now - begun)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    receiver.succeeded()
    receiver.failed(OSError())
    now += 0.5
    assert receiver.due


def test_what_one_process_leaves_the_next_one_delivers(feedback, store, event, logged):
    store.down = True
    running = feedback()
    accept(running, event("a"))
    running.stop()
    store.down = False
    feedback().stop()
    assert store.calls == [["a"]]
    assert logged()["event_id"].to_list() == ["a"]


def test_what_waited_for_longer_than_events_are_remembered_goes_to_the_log_alone(
    feedback, store, event, logged, tmp_path, caplog
):
    """The replica was scaled away for a month, and its users may have been erased since."""
    outbox, a_month_ago = Outbox(tmp_path / OUTBOX_FILE), int(time.time()) - 31 * 86_400
    outbox.add([event("old"), event("older")], a_month_ago - 60)
    outbox.add([event("young")], a_month_ago + 3_600)
    backlogs = []
    feedback(on_backlog=backlogs.append).stop()
    assert store.calls == [["young"]]
    assert logged()["event_id"].to_list() == ["old", "older", "young"]
    assert backlogs[-1] == Backlog(log=0, features=0)
    assert "2 events are too old for the feature store" in caplog.messages


def test_a_part_that_was_written_before_a_crash_is_not_logged_twice(feedback, event, logged, tmp_path):
    running = feedback()
    accept(running, event("a"), event("b"))
    running.stop()
    before = logged()
    # As if the process had died between writing the part and marking it.
    connection = sqlite3.connect(tmp_path / "outbox.sqlite")
    connection.execute("UPDATE events SET logged = 0, pushed = 0")
    connection.commit()
    running = feedback()
    accept(running, event("c"))
    running.stop()
    assert sorted(logged()["event_id"]) == ["a", "b", "c"]
    assert logged().filter(pl.col("event_id") != "c").equals(before)


@pytest.mark.parametrize("receiver", ["the feature store", "the monitoring log"])
def test_an_accident_of_a_receiver_is_its_failure_and_holds_up_nobody(
    feedback, store, event, logged, wait, monkeypatch, caplog, receiver
):
    monkeypatch.setattr(pump, "PART_SECONDS", 0)
    monkeypatch.setattr(pump, "FIRST_PAUSE_SECONDS", 0.01)
    place, name = (store, "push") if receiver == "the feature store" else (FeedbackLog, "write")
    honest, accidents, backlogs = getattr(place, name), [], []

    def broken(*arguments):
        accidents.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(place, name, broken)
    running = feedback(on_backlog=backlogs.append)
    accept(running, event("a"))
    held_up = Backlog(log=0, features=1) if receiver == "the feature store" else Backlog(log=1, features=0)
    wait(lambda: held_up in backlogs and len(accidents) > 1)
    monkeypatch.setattr(place, name, honest)
    wait(lambda: backlogs[-1] == Backlog(log=0, features=0))
    assert store.ids == {*logged()["event_id"]} == {"a"}
    told = [record for record in caplog.records if record.getMessage().startswith(f"{receiver} took no feedback")]
    assert {(record.levelname, record.exc_info[0]) for record in told} == {("ERROR", ZeroDivisionError)}
    assert len(told) == len(accidents)


def test_a_feature_store_that_catches_up_does_not_hold_up_the_log(feedback, store, event, wait, monkeypatch):
    monkeypatch.setattr(pump, "PART_SECONDS", 0)
    monkeypatch.setattr(pump, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(pump, "PUSH_EVENTS", 1)
    backlogs = []
    store.down = True
    running = feedback(on_backlog=backlogs.append)
    accept(running, *(event(f"{number}") for number in range(20)))
    wait(lambda: Backlog(log=0, features=20) in backlogs)
    honest = store.push

    def push(events):
        """The store is back; another event arrives during the first push."""
        store.push, store.down = honest, False
        honest(events)
        accept(running, event("late", "impression"))

    store.push = push
    wait(lambda: backlogs[-1] == Backlog(log=0, features=0))
    assert store.calls == [[f"{number}"] for number in range(20)]
    pushed_before_it_was_logged = 20 - max(told.features for told in backlogs if told.log == 0 and told.features < 20)
    assert pushed_before_it_was_logged == 2 * pump.PUSHES


def test_the_end_delivers_all_that_it_can(feedback, store, event, monkeypatch):
    monkeypatch.setattr(pump, "PUSH_EVENTS", 1)
    running = feedback()
    accept(running, *(event(f"{number}") for number in range(20)))
    running.stop()
    assert len(store.ids) == 20


def test_the_pump_outlives_an_accident_of_its_own(feedback, store, event, wait, monkeypatch):
    monkeypatch.setattr(pump, "_IDLE_SECONDS", 0.01)
    backlogs = []

    def on_backlog(backlog):
        backlogs.append(backlog)
        if len(backlogs) == 1:
            raise ZeroDivisionError

    running = feedback(on_backlog=on_backlog)
    wait(lambda: backlogs)
    accept(running, event("a"))
    wait(lambda: store.ids == {"a"})


def test_the_log_is_partitioned_by_the_hour_of_arrival_also_if_the_clock_goes_back(tmp_path, event):
    hour = int(datetime(2026, 11, 25, 7, tzinfo=UTC).timestamp())
    arrivals = {"a": hour + 3_599, "b": hour + 3_600, "c": hour + 10}
    stored = tuple(StoredEvent(seq, received, event(name)) for seq, (name, received) in enumerate(arrivals.items(), 7))
    FeedbackLog(tmp_path, "0123abcd").write(Part(7, stored))
    files = {str(file.relative_to(tmp_path)): pl.read_parquet(file) for file in tmp_path.rglob("*.parquet")}
    assert {name: frame["event_id"].to_list() for name, frame in files.items()} == {
        "date=2026-11-25/hour=07/part-0123abcd-000000000007.parquet": ["a", "c"],
        "date=2026-11-25/hour=08/part-0123abcd-000000000007.parquet": ["b"],
    }
    assert [file.name for file in tmp_path.rglob(".*")] == []


@pytest.mark.parametrize(
    ("age", "message"),
    [
        (-310, r"events\[1\].timestamp is more than 300 seconds ahead of this server's clock; nothing was kept."),
        (2 * 86_400 + 10, r"events\[1\].timestamp is more than 2 days ago; nothing was kept."),
    ],
)
def test_events_out_of_time_are_refused_with_all_that_came_along(feedback, store, event, logged, age, message):
    running = feedback(max_age_days=2)
    good = event("good")
    with pytest.raises(RequestError, match=message):
        accept(running, good, event("bad", timestamp=good.timestamp - age))
    for fine in (-290, 2 * 86_400 - 10):
        accept(running, event(str(fine), timestamp=good.timestamp - fine))
    running.stop()
    assert store.ids == {"-290", str(2 * 86_400 - 10)}


def test_a_failing_disk_is_said_and_nothing_is_acknowledged(feedback, event, tmp_path, caplog):
    running = feedback()
    accept(running, event("a"))
    connection = sqlite3.connect(tmp_path / "outbox.sqlite")
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk'); END")
    with pytest.raises(FeedbackError):
        accept(running, event("b"))
    (record,) = [record for record in caplog.records if record.getMessage() == "feedback cannot be kept"]
    assert str(record.exc_info[1]) == "disk"
    connection.execute("DROP TRIGGER full")
    assert accept(running, event("b")) == Accepted(new=1, duplicates=0)


def test_two_servers_cannot_keep_feedback_in_one_folder(feedback, store, tmp_path):
    feedback()
    with pytest.raises(FeedbackError, match="another server keeps its feedback in"):
        Feedback(tmp_path, store, 30, lambda backlog: None)


def test_a_folder_that_cannot_be_used_is_named(store, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(FeedbackError, match=f"feedback cannot be kept in {file}"):
        Feedback(file, store, 30, lambda backlog: None)
