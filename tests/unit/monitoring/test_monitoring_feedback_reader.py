"""Feedback for training: the users' own ids, each event once, whatever lies in the folder."""

import pytest

from gream.errors import DataError
from gream.monitoring.evidence import Window
from gream.monitoring.feedback_reader import feedback_parts, read_feedback

pytestmark = pytest.mark.unit

HOUR = 3_600
START = 20_000 * 86_400
FIRST, SECOND = "date=2024-10-04/hour=00", "date=2024-10-04/hour=01"


def row(event, user="u", item="m0", received=START, kind="click"):
    return (event, user, item, kind, received, None, received)


def test_events_of_the_window_each_once_and_damaged_files_counted(tmp_path, write_feedback):
    write_feedback(tmp_path, [row("a"), row("b", received=START + 5)], hour=FIRST)
    write_feedback(tmp_path, [row("b", received=START + 9), row("c", kind="view")], "part-2-1.parquet", FIRST)
    write_feedback(tmp_path, [row("d", received=START + HOUR), row("e", received=START + HOUR + 30)], hour=SECOND)
    (tmp_path / "feedback" / FIRST / "part-3-1.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "feedback" / FIRST / ".part-4-1.parquet.partial").write_bytes(b"")
    read = read_feedback(tmp_path, Window(START, START + HOUR + 30))
    assert read.events["event_id"].to_list() == ["a", "b", "d"]
    assert read.events["user_id"].to_list() == ["u"] * 3
    assert read.files == 5
    assert [(one.rows, one.reason) for one in read.skipped] == [
        (None, "was never finished, or is no part of the log"),
        (None, "is no Parquet file any more"),
        (1, "an unknown kind of event"),
        (1, "the same event_id again"),
    ]


def test_a_window_of_decades_looks_at_what_is_there(tmp_path, write_feedback):
    write_feedback(tmp_path, [row("a")], hour=FIRST)
    (tmp_path / "feedback" / "date=trash" / "hour=zz").mkdir(parents=True)
    assert read_feedback(tmp_path, Window(1, START + HOUR)).events["event_id"].to_list() == ["a"]
    assert read_feedback(tmp_path / "nothing", Window(1, START)).events.is_empty()


def test_parts_are_those_of_the_window_by_name_and_size(tmp_path, write_feedback):
    write_feedback(tmp_path, [row("a")], hour=FIRST)
    write_feedback(tmp_path, [row("b", received=START + HOUR)], hour=SECOND)
    for unfinished in (".part-4-1.parquet.partial", ".part-5-1.parquet"):
        (tmp_path / "feedback" / FIRST / unfinished).write_bytes(b"half")
    ((name, size),) = feedback_parts(tmp_path, Window(1, START + HOUR))
    assert name == f"feedback/{FIRST}/part-0a1b2c3d-000000000001.parquet"
    assert size == (tmp_path / name).stat().st_size
    assert len(feedback_parts(tmp_path, Window(1, START + HOUR + 1))) == 2
    with pytest.raises(DataError, match="is not a folder of evidence"):
        feedback_parts(tmp_path / "nothing", Window(1, START))
