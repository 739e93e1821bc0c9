"""What serving writes comes back, and what is broken is left out and named."""

import pytest
from monitoring_faults import flip_a_bit, truncate

from gream.errors import ConfigError
from gream.monitoring.evidence import Evidence, Skipped, Window, user_hash
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
HOUR = 3_600
START = 20_000 * 86_400
WINDOW = Window(START, START + 6 * HOUR)
"""From 2024-10-04 00:00 UTC on."""


@pytest.fixture
def log(tmp_path):
    return RequestLog(tmp_path)


@pytest.fixture
def read(tmp_path):
    def read(window=WINDOW, match_seconds=HOUR) -> Evidence:
        return read_evidence(tmp_path, window, match_seconds, KEY)

    return read


def test_requests_come_back_as_they_were(log, read, request_row):
    rows = [
        request_row("a", timestamp=START, degraded="features_unavailable", engine_ms=None),
        request_row("b", timestamp=START + 2 * HOUR, items=(), scores=(), last_level1=None, top_category=None),
    ]
    files = log.write(rows)
    assert [file.parent.name for file in files] == ["hour=00", "hour=02"]
    evidence = read()
    assert evidence.requests.rows(named=True) == [
        {**vars(row), "items": list(row.items), "scores": list(row.scores)} for row in rows
    ]
    assert (evidence.files, evidence.skipped, evidence.unreadable_share) == (2, (), 0.0)


def test_a_window_has_its_first_second_and_not_its_last(log, read, request_row):
    times = {"before": START - 1, "first": START, "last": START + 6 * HOUR - 1, "after": START + 6 * HOUR}
    log.write([request_row(name, timestamp=at) for name, at in times.items()])
    assert read(match_seconds=0).requests["request_id"].to_list() == ["first", "last"]


def test_settled_requests_are_those_whose_time_for_feedback_ends_in_the_window(log, read, request_row):
    times = {"settled before": -HOUR - 1, "first": -HOUR, "last": 5 * HOUR - 1, "open": 5 * HOUR}
    log.write([request_row(name, timestamp=START + at) for name, at in times.items()])
    assert read().settled["request_id"].to_list() == ["first", "last"]


def test_writing_again_changes_nothing(log, read, request_row):
    assert log.write([request_row("a")]) == log.write([request_row("a")])
    assert read().requests.height == 1
    assert read().skipped == ()


def test_a_request_that_stands_in_two_files_counts_once(log, read, request_row):
    log.write([request_row("a"), request_row("b")])
    log.write([request_row("a")])
    evidence = read()
    assert evidence.requests["request_id"].to_list() == ["a", "b"]
    assert evidence.skipped == (Skipped("requests", 1, "the same request_id again"),)


def test_user_ids_are_hashed_as_in_the_requests(read, tmp_path, write_feedback):
    write_feedback(tmp_path, [("e", "somebody", "m0", "click", START, None, START)])
    feedback = read().feedback
    assert feedback["user"].to_list() == [user_hash("somebody", KEY)]
    assert "somebody" not in str(feedback.to_dict(as_series=False))
    assert user_hash("somebody", KEY) != user_hash("somebody", "another key")
    with pytest.raises(ConfigError, match="set GREAM_EVIDENCE_KEY"):
        user_hash("somebody", "")


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lambda file: file.write_bytes(b"")])
def test_a_damaged_file_of_requests_is_named_and_the_others_are_read(log, read, request_row, damage):
    (bad,) = log.write([request_row("a")])
    log.write([request_row("b", timestamp=START + HOUR)])
    damage(bad)
    evidence = read()
    assert evidence.requests["request_id"].to_list() == ["b"]
    (skipped,) = evidence.skipped
    assert skipped == Skipped(
        f"requests/date=2024-10-04/hour=00/{bad.name}", None, "is damaged: its content is not what its name says"
    )
    assert evidence.unreadable_share == 0.5


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"no parquet at all"])
def test_feedback_that_is_no_parquet_is_named(read, tmp_path, write_feedback, content):
    write_feedback(tmp_path, [("e", "u", "m0", "click", START, None, START)])
    (tmp_path / "feedback/date=2024-10-04/hour=00/part-x.parquet").write_bytes(content)
    evidence = read()
    assert evidence.feedback["event_id"].to_list() == ["e"]
    assert [(one.place[-14:], one.reason) for one in evidence.skipped] == [
        ("part-x.parquet", "is no Parquet file any more")
    ]


def test_unfinished_and_foreign_files_are_named(log, read, request_row):
    (file,) = log.write([request_row("a")])
    file.with_name(f".{file.name}.17.partial").write_bytes(b"half")
    file.with_name("notes.txt").write_text("hello")
    evidence = read()
    assert evidence.requests.height == 1
    assert {one.reason for one in evidence.skipped} == {"was never finished, or is no part of the log"}
    assert evidence.files == 3


def test_a_file_of_another_shape_is_named(log, read, request_row, tmp_path, write_feedback):
    (file,) = log.write([request_row("a")])
    write_feedback(tmp_path, [], name="part-y.parquet")
    (tmp_path / "feedback/date=2024-10-04/hour=00/part-y.parquet").rename(file.with_name("part-other.parquet"))
    assert [one.reason for one in read().skipped] == ["has no column 'user' of type String"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": None}, "a value that must be there is missing"),
        ({"history_length": -1}, "a count, age or time is negative"),
        ({"seconds_since_last": -5}, "a count, age or time is negative"),
        ({"unknown_items": 5}, "more unknown items than items"),
        ({"scores": (-1.0, -2.0)}, "not one score for each item"),
        ({"scores": (0.5, -2.0, -3.0)}, "a score is no log-probability"),
        ({"scores": (float("nan"), -2.0, -3.0)}, "a score is no log-probability"),
    ],
)
def test_impossible_rows_are_counted_and_left_out(log, read, request_row, changes, reason):
    log.write([request_row("good"), request_row("bad", **changes)])
    evidence = read()
    assert evidence.requests["request_id"].to_list() == ["good"]
    assert evidence.skipped == (Skipped("requests", 1, reason),)


def test_impossible_rows_are_counted_over_all_files_and_hours(log, read, request_row):
    log.write([request_row("bad", user=None), request_row("odd", scores=())])
    log.write([request_row("good"), request_row("worse", user=None)])
    log.write([request_row("later", timestamp=START + HOUR, user=None)])
    evidence = read()
    assert evidence.requests["request_id"].to_list() == ["good"]
    assert evidence.skipped == (
        Skipped("requests", 3, "a value that must be there is missing"),
        Skipped("requests", 1, "not one score for each item"),
    )


def test_feedback_whose_rows_alone_are_damaged_is_named_and_the_hour_s_other_files_are_read(
    read, tmp_path, write_feedback
):
    for number in range(3):
        write_feedback(
            tmp_path, [(f"e{number}", "u", "m0", "click", START, None, START)], name=f"part-{number}.parquet"
        )
    bad = tmp_path / "feedback/date=2024-10-04/hour=00/part-1.parquet"
    content = bad.read_bytes()
    bad.write_bytes(content[:4] + bytes(40) + content[44:])  # What it says of its columns stands at its end.
    evidence = read()
    assert evidence.feedback["event_id"].to_list() == ["e0", "e2"]
    assert [(one.place[-14:], one.reason) for one in evidence.skipped] == [
        ("part-1.parquet", "is no Parquet file any more")
    ]
    assert evidence.files == 3


def test_late_feedback_is_known_by_its_arrival(read, tmp_path, write_feedback):
    yesterday = START - 86_400
    write_feedback(tmp_path, [("late", "u", "m0", "click", yesterday, None, START + 5)])
    assert read().feedback["event_id"].to_list() == ["late"]


def test_rows_are_in_order_of_their_time_whatever_hour_they_were_put_into(read, tmp_path, write_feedback):
    early, late = (
        ("early", "u", "m0", "click", START, None, START),
        ("late", "u", "m0", "click", START, None, START + 9),
    )
    write_feedback(tmp_path, [late, ("twice", "u", "m1", "click", START, None, START + 9)])
    write_feedback(
        tmp_path, [early, ("twice", "u", "m2", "click", START, None, START + 5)], hour="date=2024-10-04/hour=01"
    )
    evidence = read()
    assert evidence.feedback.select("event_id", "item_id").rows() == [("early", "m0"), ("twice", "m2"), ("late", "m0")]
    assert evidence.skipped == (Skipped("feedback", 1, "the same event_id again"),)


def test_nothing_is_there(read):
    evidence = read()
    assert (evidence.requests.height, evidence.settled.height, evidence.feedback.height) == (0, 0, 0)
    assert (evidence.files, evidence.skipped, evidence.unreadable_share) == (0, (), 0.0)


def test_requests_of_another_policy_are_counted_apart(log, read, request_row):
    log.write([request_row("a"), request_row("b", policy_version="older")])
    own = read().of_policy("champion")
    assert own.requests["request_id"].to_list() == ["a"]
    assert own.request_ids.to_list() == ["a", "b"]  # Feedback may name either.
    assert own.skipped == (Skipped("requests", 1, "answered by another policy than champion"),)


def test_a_window_goes_forward():
    with pytest.raises(ConfigError, match=r"0 <= start < end; got \[5, 5\)"):
        Window(5, 5)
