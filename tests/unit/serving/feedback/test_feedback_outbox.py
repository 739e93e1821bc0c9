"""What the outbox promises, against SQLite itself."""

import sqlite3

import pytest

from serving.feedback.outbox import Backlog, Outbox

pytestmark = pytest.mark.unit


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def outbox(path):
    return Outbox(path)


def test_an_event_id_counts_once(outbox, event):
    assert outbox.add([event("a"), event("b"), event("a", item_id="m1")], 100) == [True, True, False]
    assert outbox.add([event("b"), event("c")], 101) == [False, True]
    assert [stored.event.event_id for stored in outbox.unpushed(10)] == ["a", "b", "c"]
    assert outbox.unpushed(10)[0].event.item_id == "m0"


def test_commits_wait_for_the_disk(outbox, path):
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_what_was_added_is_there_for_another_process(outbox, path, event):
    outbox.add([event("a")], 100)
    other = Outbox(path)
    assert [(stored.seq, stored.received, stored.event.event_id) for stored in other.unpushed(10)] == [(1, 100, "a")]
    assert other.id == outbox.id


def test_a_part_stays_what_it_is_until_it_is_logged(outbox, path, event):
    outbox.add([event("a"), event("b"), event("c")], 100)
    first = outbox.next_part(2)
    assert [stored.event.event_id for stored in first.events] == ["a", "b"]
    outbox.add([event("d")], 101)
    assert Outbox(path).next_part(10) == first  # Also for a process that starts after a crash.
    outbox.mark_logged(first)
    second = outbox.next_part(10)
    assert [stored.event.event_id for stored in second.events] == ["c", "d"]
    assert second.number > first.number
    outbox.mark_logged(second)
    assert outbox.next_part(10) is None


def test_impressions_go_to_the_log_alone(outbox, event):
    outbox.add([event("a", "impression"), event("b", "purchase")], 100)
    assert outbox.backlog() == Backlog(log=2, features=1)
    assert [stored.event.event_id for stored in outbox.unpushed(10)] == ["b"]


def test_delivered_events_are_forgotten_after_their_time_and_others_never(outbox, event):
    outbox.add([event("old")], 100)
    outbox.add([event("old and undelivered")], 100)
    outbox.add([event("new")], 200)
    part = outbox.next_part(10)
    outbox.mark_logged(part)
    outbox.mark_pushed([part.events[0], part.events[2]])
    outbox.forget(before=200)
    assert outbox.add([event("old")], 300) == [True]
    assert outbox.add([event("old and undelivered"), event("new")], 300) == [False, False]


def test_nothing_of_a_forgotten_event_stays_on_the_disk(outbox, path, event):
    outbox.add([event("old", user_id="ann, who leaves")], 100)
    outbox.add([event("new", user_id="bob, who stays")], 200)
    part = outbox.next_part(10)
    outbox.mark_logged(part)
    outbox.mark_pushed(part.events)
    outbox.forget(before=200)
    everything = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert (b"who leaves" in everything, b"who stays" in everything) == (False, True)


def test_forgetting_does_not_look_through_what_is_kept(outbox, path, monkeypatch):
    """It holds the lock that all feedback waits for, and a month of events lies there."""
    plans = []
    real = outbox._connection

    class Explained:
        def execute(self, statement, values=()):
            plans.extend(row[3] for row in real.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    monkeypatch.setattr(outbox, "_connection", Explained())
    outbox.forget(before=200)
    assert plans == ["SEARCH events USING INDEX delivered (received<?)"]


def test_numbers_of_parts_are_not_used_again_after_forgetting(outbox, event):
    outbox.add([event("a", "impression")], 100)
    first = outbox.next_part(10)
    outbox.mark_logged(first)
    outbox.forget(before=1_000)
    outbox.add([event("b", "impression")], 100)
    assert outbox.next_part(10).number > first.number


def test_a_failed_transaction_leaves_nothing_and_the_connection_usable(outbox, event):
    refusal = (
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.event_id = 'b' BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    outbox._connection.execute(refusal)
    with pytest.raises(sqlite3.Error, match="full"):
        outbox.add([event("a"), event("b")], 100)
    outbox._connection.execute("DROP TRIGGER full")
    assert outbox.add([event("a"), event("b")], 100) == [True, True]
