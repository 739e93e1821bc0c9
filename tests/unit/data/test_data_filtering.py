import polars as pl
import pytest

from gream import columns
from gream.data.filtering import drop_duplicate_events, k_core
from gream.errors import DataError

pytestmark = pytest.mark.unit


def events(pairs):
    return pl.DataFrame(
        [(user, item, time) for time, (user, item) in enumerate(pairs)],
        schema=[columns.USER, columns.ITEM, columns.TIMESTAMP],
        orient="row",
    )


def pairs_of(frame):
    return list(zip(frame[columns.USER], frame[columns.ITEM], strict=True))


def test_k_core_iterates_to_its_fixpoint():
    # Item z has two events, but loses one with user c, who has a single event; then b falls below two, then y.
    rows = [("a", "x"), ("b", "z"), ("b", "y"), ("a", "w"), ("c", "z"), ("d", "x"), ("d", "w"), ("a", "y")]
    assert pairs_of(k_core(events(rows), 2)) == [("a", "x"), ("a", "w"), ("d", "x"), ("d", "w")]


def test_k_core_counts_events_so_that_returns_to_an_item_count():
    rows = [("a", "x"), ("a", "x"), ("b", "y")]
    assert pairs_of(k_core(events(rows), 2)) == [("a", "x"), ("a", "x")]


@pytest.mark.parametrize("k", [0, 1])
def test_k_core_below_two_keeps_everything(k):
    rows = [("a", "x"), ("b", "y")]
    assert pairs_of(k_core(events(rows), k)) == rows


def test_empty_k_core_says_how_far_the_data_is_from_it():
    rows = [("a", "x"), ("a", "y"), ("a", "z"), ("b", "x")]
    with pytest.raises(DataError, match=r"k_core = 2 leaves nothing of 4 .* user has 3, .* item 2\).*data\.k_core"):
        k_core(events(rows), 2)


def test_exact_duplicates_go_and_later_returns_stay():
    table = pl.DataFrame(
        [("a", "x", 7, 1.0), ("a", "x", 7, 2.0), ("a", "x", 8, 3.0), ("b", "x", 7, 4.0)],
        schema=[columns.USER, columns.ITEM, columns.TIMESTAMP, columns.RATING],
        orient="row",
    )
    assert drop_duplicate_events(table)[columns.RATING].to_list() == [1.0, 3.0, 4.0]
