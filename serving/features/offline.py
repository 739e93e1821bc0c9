"""The offline store: a catalog as Parquet files whose rows say from which moment on they are valid.

- `user_history.parquet`: for each event of a user a row with their most recent events, this one included. A window
  bounds the row, so that a user with n events costs n times the window and not n squared.
- `user_statistics.parquet`: for each event of a user their counts and times so far.
- `item_features.parquet`: for each item a row at the start of time (its texts count as always known), one for each
  second with events, and one at the end of the catalog. The count of a second is valid from its last microsecond on:
  just before the next second, and after all moments of this one, so that an event never sees itself in it. Without a
  clock the positions of two users cannot be compared, so all events count at the end of the catalog.
- `user_recent_events.parquet`: no rows. Feast wants a table behind a push source.

The moment of a row is that of `serving.features.moments`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo import names
from gream import columns
from gream.artifacts import MANIFEST, atomic_folder, open_artifact
from gream.data.catalog import Catalog
from gream.errors import DataError
from serving.features.moments import add_moments, second

KIND: Final = "offline_features"
_ROWS: Final = 10_000
"""Of histories held in memory at a time."""
_ITEM_ROWS: Final = 200_000
"""Of items' texts."""
_ONE_IN: Final = 10
"""Of the items of two catalogs that they must have in common, to be of one shop where their names differ."""
_LAST_SECOND: Final = 9_223_372_036
"""2262-04-11: where the nanoseconds end in which Feast counts."""


def write_offline(catalog: Catalog, folder: Path, window: int) -> None:
    """Write the files of a catalog; readers see the old ones or the new ones.

    Args:
        catalog: where the features come from.
        folder: is replaced.
        window: most recent events that a history keeps.

    Raises:
        DataError: the catalog has an event after 2262, or the folder was written from another shop's, or from one that
            ends later: Redis, where a row replaces an older one only, would silently keep what it has.
    """
    events = add_moments(catalog.interactions)
    newest = events.select(pl.col(columns.TIMESTAMP).max() + 1).item()  # The first second that has seen all events.
    if newest > _LAST_SECOND:
        raise DataError(
            f"catalog {catalog.facts.dataset!r} has an event at {newest - 1} seconds after 1970; features can be kept "
            f"of events before {_LAST_SECOND} (2262-04-11). Correct its timestamps."
        )
    if (folder / MANIFEST).is_file():
        _refuse_another_shop(catalog, folder)
        _refuse_older(catalog.facts.dataset, newest, folder)
    facts = catalog.facts.model_dump(include={"dataset", "ordinal_time"})
    with atomic_folder(folder, KIND, newest=newest, window=window, **facts) as staging:
        _write_histories(events, window, staging / f"{names.USER_HISTORY}.parquet")
        _no_events().write_parquet(staging / f"{names.USER_RECENT_EVENTS}.parquet")
        _statistics(events).write_parquet(staging / f"{names.USER_STATISTICS}.parquet")
        _write_item_features(catalog, newest, staging / f"{names.ITEM_FEATURES}.parquet")


def end_of_offline(folder: Path) -> datetime:
    """The moment of the newest rows in the offline files.

    Raises:
        ArtifactError: no complete offline files stand there.
    """
    return datetime.fromtimestamp(open_artifact(folder, KIND)["newest"], tz=UTC)


def _refuse_another_shop(catalog: Catalog, folder: Path) -> None:
    """The name alone does not tell: a folder of today's tables may be called after the day."""
    now = catalog.facts.dataset
    before = open_artifact(folder, KIND).get("dataset", now)  # Earlier releases noted none.
    if now == before:
        return
    items = catalog.items.select(columns.ITEM)
    theirs = pl.read_parquet(folder / f"{names.ITEM_FEATURES}.parquet", columns=[columns.ITEM]).unique()
    common = items.join(theirs, on=columns.ITEM, how="semi").height
    together = items.height + theirs.height - common
    if common * _ONE_IN < together:
        raise DataError(
            f"catalog {now!r} and {before!r}, whose features are in {folder.parent}, share {common:,} of their "
            f"{together:,} items: they are of different shops. Set GREAM_STATE to a folder for each."
        )


def _refuse_older(dataset: str, newest: int, folder: Path) -> None:
    before, now = end_of_offline(folder), datetime.fromtimestamp(newest, tz=UTC)
    if now < before:
        raise DataError(
            f"catalog {dataset!r} ends at {now:%Y-%m-%d %H:%M:%S}, but the features in {folder.parent} are newer "
            f"({before:%Y-%m-%d %H:%M:%S}). To start again from this catalog, remove that folder and empty the Redis "
            "that belongs to it, or set GREAM_STATE to another folder."
        )


def _write_histories(events: pl.DataFrame, window: int, path: Path) -> None:
    item_ids = events[columns.ITEM].to_arrow()
    timestamps = events[columns.TIMESTAMP].to_arrow()
    keys = events.select(columns.USER, names.EVENT_TIMESTAMP).to_arrow()
    schema = pa.schema(
        [
            *keys.schema,
            pa.field(names.ITEM_IDS, pa.large_list(item_ids.type)),
            pa.field(names.TIMESTAMPS, pa.large_list(timestamps.type)),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for first, offsets, members in _windows(events, window):
            history = [
                pa.LargeListArray.from_arrays(offsets, values.take(members)) for values in (item_ids, timestamps)
            ]
            rows = keys.slice(first, len(offsets) - 1)
            writer.write_table(pa.Table.from_arrays([*rows.columns, *history], schema=schema))


def _windows(events: pl.DataFrame, window: int) -> Iterator[tuple[int, pa.Array, pa.Array]]:
    """Which events make up the history of each row, some rows at a time.

    Yields:
        The first row, where each row's members start (int64, rows + 1), and the members as row numbers (int64).
    """
    position = events.select(pl.int_range(pl.len()).over(columns.USER)).to_series().to_numpy()
    lengths = np.minimum(position + 1, window)
    for first in range(0, len(lengths), _ROWS):
        some = lengths[first : first + _ROWS]
        offsets = np.concatenate([[0], np.cumsum(some)])
        starts = np.arange(first, first + len(some)) - some + 1
        members = np.repeat(starts - offsets[:-1], some) + np.arange(offsets[-1])
        yield first, pa.array(offsets), pa.array(members)


def _no_events() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            columns.USER: pl.String(),
            names.EVENT_TIMESTAMP: pl.Datetime("us", "UTC"),
            names.RECENT_ITEM_IDS: pl.List(pl.String),
            names.RECENT_TIMESTAMPS: pl.List(pl.Int64),
        }
    )


def _statistics(events: pl.DataFrame) -> pl.DataFrame:
    count = pl.int_range(1, pl.len() + 1).over(columns.USER)
    first = pl.col(columns.TIMESTAMP).first().over(columns.USER)
    last = pl.col(columns.TIMESTAMP)
    return events.select(
        columns.USER,
        names.EVENT_TIMESTAMP,
        count.alias(names.EVENT_COUNT),
        first.alias(names.FIRST_EVENT),
        last.alias(names.LAST_EVENT),
        pl.when(count > 1).then((last - first) / (count - 1)).otherwise(0.0).alias(names.MEAN_GAP),
    )


def _write_item_features(catalog: Catalog, newest: int, path: Path) -> None:
    """Write the popularity of every item at every time with its texts, which are joined a part at a time."""
    popularity = _popularity(catalog, newest)
    parts = (
        part.join(catalog.items, on=columns.ITEM, maintain_order="left")
        .select(
            columns.ITEM,
            names.EVENT_TIMESTAMP,
            columns.TITLE,
            columns.BRAND,
            columns.CATEGORIES,
            names.POPULARITY,
        )
        .to_arrow()
        for part in popularity.iter_slices(_ITEM_ROWS)
    )
    first = next(parts)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for table in chain([first], parts):
            writer.write_table(table)


def _popularity(catalog: Catalog, newest: int) -> pl.DataFrame:
    start, end = -1, newest - 1
    when = pl.lit(end, pl.Int64) if catalog.facts.ordinal_time else pl.col(columns.TIMESTAMP)
    events = catalog.interactions.select(columns.ITEM, when.alias(columns.TIMESTAMP), count=pl.lit(1, pl.Int64))
    marks = [
        catalog.items.select(columns.ITEM, pl.lit(mark, pl.Int64).alias(columns.TIMESTAMP), count=pl.lit(0, pl.Int64))
        for mark in (start, end)
    ]
    return (
        pl.concat([events, *marks])
        .group_by(columns.ITEM, columns.TIMESTAMP)
        .agg(pl.col("count").sum())
        .sort(columns.ITEM, columns.TIMESTAMP)
        .select(
            columns.ITEM,
            (second(pl.col(columns.TIMESTAMP) + 1) - pl.duration(microseconds=1)).alias(names.EVENT_TIMESTAMP),
            pl.col("count").cum_sum().over(columns.ITEM).alias(names.POPULARITY),
        )
    )
