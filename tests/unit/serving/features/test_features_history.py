import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.contracts import UserHistory
from serving.features.history import NO_HISTORY, extend

pytestmark = pytest.mark.unit

EVENTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=12)


def history(*events):
    return UserHistory(item_ids=tuple(item for _, item in events), timestamps=tuple(second for second, _ in events))


@pytest.mark.parametrize(
    ("before", "events", "after"),
    [
        ([], [(3, "c"), (1, "a"), (2, "b")], [(1, "a"), (2, "b"), (3, "c")]),
        ([(1, "a"), (3, "c")], [(2, "b")], [(1, "a"), (2, "b"), (3, "c")]),
        ([(1, "a"), (2, "b")], [(1, "c")], [(1, "a"), (1, "c"), (2, "b")]),
        ([(1, "a")], [(1, "c"), (1, "b"), (1, "c")], [(1, "a"), (1, "c"), (1, "b")]),
        ([(1, "a")], [(2, "a")], [(1, "a"), (2, "a")]),
        ([(1, "a"), (2, "b"), (3, "c"), (4, "d")], [(5, "e")], [(2, "b"), (3, "c"), (4, "d"), (5, "e")]),
    ],
    ids=["in time order", "late", "late in a second", "in the order given", "an item again", "oldest leaves"],
)
def test_new_events_go_where_they_belong_in_time(before, events, after):
    assert extend(history(*before), events, window=4) == history(*after)


@pytest.mark.parametrize(
    "events",
    [[], [(2, "b"), (1, "a")], [(0, "z")], [(1, "z")]],
    ids=["nothing", "known ones", "older than a full window", "in the oldest second of a full window"],
)
def test_what_adds_nothing_returns_the_history_itself(events):
    before = history((1, "a"), (2, "b"))
    assert extend(before, events, window=2) is before


def test_an_old_event_is_added_while_there_is_room():
    assert extend(history((1, "a")), [(0, "z")], window=2) == history((0, "z"), (1, "a"))


@given(first=EVENTS, second=EVENTS, window=st.integers(1, 8))
def test_whatever_was_pushed_can_be_pushed_again(first, second, window):
    once = extend(extend(NO_HISTORY, first, window), second, window)
    assert extend(once, [*second, *first], window) is once
    assert list(once.timestamps) == sorted(once.timestamps)
    assert len(once.item_ids) <= window
