import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.errors import ArtifactError, DataError
from serving.features.moments import add_moments
from serving.features.offline import end_of_offline, write_offline

pytestmark = pytest.mark.unit

ITEMS = [("x", "Pen", "", "Kent", ["Office"]), ("y", "Ink", "", "", []), ("z", "Cup", "", "", [])]
EVENTS = [("a", "x", 10), ("a", "y", 10), ("a", "x", 12), ("a", "y", 20), ("b", "x", 10)]


def catalog(events=EVENTS, items=ITEMS, ordinal_time=False, dataset="shop"):
    return Catalog(
        pl.DataFrame(events, schema=INTERACTION_SCHEMA, orient="row"),
        pl.DataFrame(items, schema=ITEM_SCHEMA, orient="row"),
        CatalogFacts(dataset=dataset, source="a test", exclude_seen=False, ordinal_time=ordinal_time),
    )


def at(second, microseconds=0):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second, microseconds=microseconds)


def rows(folder, view, *columns):
    return pl.read_parquet(folder / f"{view}.parquet").select(columns).rows()


def test_events_of_one_second_have_moments_in_the_order_of_the_catalog():
    events = pl.DataFrame({"user_id": list("aabaa"), "timestamp": [7, 7, 7, 7, 8]})
    moments = add_moments(events)["event_timestamp"].to_list()
    assert moments == [at(7), at(7, 1), at(7), at(7, 2), at(8)]


def test_each_event_has_a_row_with_the_window_that_ends_with_it(tmp_path):
    write_offline(catalog(), tmp_path / "offline", window=2)
    assert rows(tmp_path / "offline", "user_history", "user_id", "event_timestamp", "item_ids", "timestamps") == [
        ("a", at(10), ["x"], [10]),
        ("a", at(10, 1), ["x", "y"], [10, 10]),
        ("a", at(12), ["y", "x"], [10, 12]),
        ("a", at(20), ["x", "y"], [12, 20]),
        ("b", at(10), ["x"], [10]),
    ]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A file as it is written in parts of so many rows, which equals what is written at once."""

    def written(limit, rows, name):
        with monkeypatch.context() as patched:
            patched.setattr(f"serving.features.offline.{limit}", rows)
            write_offline(catalog(), tmp_path / "parts", window=3)
        write_offline(catalog(), tmp_path / "whole", window=3)
        parts, whole = (pl.read_parquet(tmp_path / folder / name) for folder in ("parts", "whole"))
        assert parts.equals(whole)
        return whole

    return written


def test_many_histories_are_written_in_parts_that_fit_together(written):
    assert written("_ROWS", 2, "user_history.parquet")["item_ids"].to_list()[3] == ["y", "x", "y"]


def test_many_items_are_written_in_parts_that_fit_together(written):
    assert written("_ITEM_ROWS", 4, "item_features.parquet").height == 9


def test_statistics_count_all_events_not_only_the_window(tmp_path):
    write_offline(catalog(), tmp_path / "offline", window=1)
    columns = ("user_id", "event_timestamp", "event_count", "first_event", "last_event", "mean_gap")
    assert rows(tmp_path / "offline", "user_statistics", *columns) == [
        ("a", at(10), 1, 10, 10, 0.0),
        ("a", at(10, 1), 2, 10, 10, 0.0),
        ("a", at(12), 3, 10, 12, 1.0),
        ("a", at(20), 4, 10, 20, 10 / 3),
        ("b", at(10), 1, 10, 10, 0.0),
    ]


def test_popularity_counts_the_seconds_before_a_row(tmp_path):
    write_offline(catalog(), tmp_path / "offline", window=2)
    assert rows(tmp_path / "offline", "item_features", "item_id", "event_timestamp", "popularity") == [
        ("x", at(0, -1), 0),
        ("x", at(11, -1), 2),
        ("x", at(13, -1), 3),
        ("x", at(21, -1), 3),
        ("y", at(0, -1), 0),
        ("y", at(11, -1), 1),
        ("y", at(21, -1), 2),
        ("z", at(0, -1), 0),
        ("z", at(21, -1), 0),
    ]
    columns = ("item_id", "title", "brand", "categories")
    assert rows(tmp_path / "offline", "item_features", *columns)[0] == ("x", "Pen", "Kent", ["Office"])


def test_without_a_clock_positions_order_a_user_but_do_not_date_popularity(tmp_path):
    events = [("a", "x", 0), ("a", "y", 1), ("b", "y", 0)]
    write_offline(catalog(events, ordinal_time=True), tmp_path / "offline", window=5)
    assert rows(tmp_path / "offline", "user_history", "user_id", "event_timestamp", "item_ids") == [
        ("a", at(0), ["x"]),
        ("a", at(1), ["x", "y"]),
        ("b", at(0), ["y"]),
    ]
    assert rows(tmp_path / "offline", "item_features", "item_id", "event_timestamp", "popularity") == [
        ("x", at(0, -1), 0),
        ("x", at(2, -1), 1),
        ("y", at(0, -1), 0),
        ("y", at(2, -1), 2),
        ("z", at(0, -1), 0),
        ("z", at(2, -1), 0),
    ]


def test_files_are_replaced_as_a_whole_and_their_end_is_known(tmp_path):
    offline = tmp_path / "offline"
    write_offline(catalog(), offline, window=2)
    assert end_of_offline(offline) == at(21)
    with pytest.raises(TypeError):
        write_offline(catalog(), offline, window="two")
    assert [path.name for path in tmp_path.iterdir()] == ["offline"]
    assert len(rows(offline, "user_history", "user_id")) == 5


def test_a_catalog_that_ends_earlier_is_refused(tmp_path):
    write_offline(catalog(), tmp_path / "offline", window=2)
    older = catalog([event for event in EVENTS if event[2] < 20])
    with pytest.raises(DataError, match=r"'shop' ends at 1970-01-01 00:00:13, but the features in .* are newer"):
        write_offline(older, tmp_path / "offline", window=2)
    assert end_of_offline(tmp_path / "offline") == at(21)


def test_another_shops_catalog_is_refused_and_one_of_another_name_is_not(tmp_path):
    offline = tmp_path / "offline"
    write_offline(catalog(), offline, window=2)
    books = [ITEMS[0], *((f"book-{number}", "Book", "", "", []) for number in range(8))]
    other = catalog([("a", "x", 30)], books, dataset="books")
    with pytest.raises(DataError, match=r"'books' and 'shop', whose features are in .*, share 1 of their 11 items"):
        write_offline(other, offline, window=2)
    assert end_of_offline(offline) == at(21)
    write_offline(catalog([("a", "x", 30)], books[:-1], dataset="2024-05-31"), offline, window=2)  # One item in ten.
    assert end_of_offline(offline) == at(31)


def test_features_that_do_not_say_whose_they_are_are_replaced(tmp_path):
    offline = tmp_path / "offline"
    write_offline(catalog(), offline, window=2)
    manifest = json.loads((offline / "manifest.json").read_text())
    assert manifest.pop("dataset") == "shop"
    (offline / "manifest.json").write_text(json.dumps(manifest))
    write_offline(catalog([("a", "book", 30)], [("book", "Book", "", "", [])], dataset="books"), offline, window=2)
    assert end_of_offline(offline) == at(31)


def test_an_event_after_the_end_of_time_is_refused(tmp_path):
    with pytest.raises(DataError, match="has an event at 9223372036 seconds after 1970; features can be kept of"):
        write_offline(catalog([("a", "x", 9_223_372_036)]), tmp_path / "offline", window=2)
    write_offline(catalog([("a", "x", 9_223_372_035)]), tmp_path / "offline", window=2)


def test_no_offline_files_have_no_end(tmp_path):
    with pytest.raises(ArtifactError, match="is not a complete offline_features"):
        end_of_offline(tmp_path)
