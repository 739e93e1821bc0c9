"""Each entity's last row, as the materialisation asks for it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pyarrow.parquet as pq
import pytest
from feast import FileSource

from serving.features.offline_parquet import ParquetOfflineStore

pytestmark = pytest.mark.unit

ROWS = [
    ("ann", 1, 1, ["x"]),
    ("ann", 2, 1, ["x", "y"]),
    ("bob", 1, 1, ["z"]),
    ("ann", 3, 2, ["x", "y", "z"]),
    ("ann", 3, 1, ["of the same moment, made before"]),
    ("cid", 2, 1, ["y"]),
    ("cid", 2, 1, ["y", "y"]),
]


def at(second):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


@pytest.fixture
def table(tmp_path):
    """Rows in groups of two, as large tables have groups of thousands."""
    frame = pl.DataFrame(ROWS, schema=["user_id", "moment", "made", "item_ids"], orient="row")
    times = pl.from_epoch(pl.col("moment", "made")).dt.replace_time_zone("UTC")
    path = tmp_path / "table.parquet"
    frame.with_columns(times).write_parquet(path, row_group_size=2)
    return path


def latest(table, start, end, made="made"):
    job = ParquetOfflineStore.pull_latest_from_table_or_query(
        config=SimpleNamespace(repo_path=table.parent),
        data_source=FileSource(path=str(table), timestamp_field="moment"),
        join_key_columns=["user_id"],
        feature_name_columns=["item_ids"],
        timestamp_field="moment",
        created_timestamp_column=made,
        start_date=at(start),
        end_date=at(end),
    )
    found = job.to_df()
    return {row.user_id: (row.moment, list(row.item_ids)) for row in found.itertuples()}, len(found)


def test_of_each_user_the_last_row_is_found_and_of_a_tie_the_one_made_last(table):
    expected = {"ann": (at(3), ["x", "y", "z"]), "bob": (at(1), ["z"]), "cid": (at(2), ["y", "y"])}
    assert latest(table, start=0, end=9) == (expected, 3)


def test_without_a_time_of_making_the_last_of_a_tie_in_the_table_counts(table):
    found, rows = latest(table, start=0, end=9, made=None)
    assert rows == 3
    assert found["ann"] == (at(3), ["of the same moment, made before"])
    assert found["cid"] == (at(2), ["y", "y"])


def test_both_ends_are_included_and_what_lies_outside_is_not_there(table):
    assert latest(table, start=2, end=2) == ({"ann": (at(2), ["x", "y"]), "cid": (at(2), ["y", "y"])}, 2)
    assert latest(table, start=4, end=9) == ({}, 0)


def test_the_features_of_earlier_rows_are_not_read(table):
    """They are nearly all of the table: the first group, of two rows that are nobody's last, is damaged."""
    lists = pq.read_metadata(table).row_group(0).column(3)
    content = bytearray(table.read_bytes())
    start = lists.dictionary_page_offset or lists.data_page_offset
    content[start : start + lists.total_compressed_size] = bytes(lists.total_compressed_size)
    table.write_bytes(content)
    found, _ = latest(table, start=0, end=9)
    assert found["ann"] == (at(3), ["x", "y", "z"])
