"""A window, user by user: for each user and monitor the mean over what the user did.

Every user counts once in a window, however many requests they made: a flood of one user moves nothing by more than 1/n.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gream.monitoring.evidence import USER_HASH, Evidence
from gream.monitoring.features import Table, feature_tables
from gream.monitoring.monitors import MONITORS, Monitor
from gream.monitoring.served_items import ServedItems

MOST_USERS: Final = 100_000
"""Users of a window who are looked at, and as many again of those with feedback, whom a large shop has few of."""


@dataclass(frozen=True)
class Layout:
    """Which columns of a matrix belong to which monitor.

    Attributes:
        buckets: monitor -> names of its columns, in the order of the matrix; `("",)` for a share.
    """

    buckets: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, served: ServedItems) -> "Layout":
        """The layout of `MONITORS` for a policy's items."""
        return cls({one.name: one.buckets(served) if one.buckets else ("",) for one in MONITORS})

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(map(len, self.buckets.values()))

    @property
    def columns(self) -> list[slice]:
        """The columns of each monitor."""
        ends = np.cumsum([len(names) for names in self.buckets.values()]).tolist()
        return [slice(end - len(names), end) for end, names in zip(ends, self.buckets.values(), strict=True)]


@dataclass(frozen=True)
class UserMeans:
    """Attributes:
    layout: of the columns.
    users: hashes of the users of a window, sorted; where they are many, of some of them (`MOST_USERS`).
    values: `(n_users, layout.width)` float32; a monitor's columns are NaN for users of whom it saw nothing.
    """

    layout: Layout
    users: NDArray[np.str_]
    values: NDArray[np.float32]


def user_means(evidence: Evidence, served: ServedItems) -> UserMeans:
    """What a window says of each of its users."""
    layout, tables = Layout.of(served), _tables(evidence, served)
    users = pl.concat([table[USER_HASH].unique() for table in tables.values()]).unique().sort()
    known = pl.Enum(users)
    numbers = {
        # As narrow as it can be, an enum's number would overflow when it is multiplied.
        name: table[USER_HASH].cast(known).to_physical().cast(pl.Int64).to_numpy()
        for name, table in tables.items()
    }
    parts = [
        _monitor_means(monitor, tables[monitor.table][monitor.name], numbers[monitor.table], len(users), names)
        for monitor, names in zip(MONITORS, layout.buckets.values(), strict=True)
    ]
    return UserMeans(layout, users.to_numpy().astype(np.str_), np.concatenate(parts, axis=1))


def _tables(evidence: Evidence, served: ServedItems) -> dict[Table, pl.DataFrame]:
    """The tables of `MOST_USERS` of the users; of feedback, and what it says of requests, of as many who left some.

    Hashes are keyed, so that the first ones are anybody's, and they are the same users' in each window.
    """
    parts = evidence.requests, evidence.settled, evidence.feedback
    users = pl.concat([table[USER_HASH].unique() for table in parts]).unique()
    if len(users) <= MOST_USERS:
        return feature_tables(evidence, served)
    asked, told = _first(users), _first(evidence.feedback[USER_HASH].unique())
    some = replace(
        evidence,
        requests=evidence.requests.filter(asked),
        settled=evidence.settled.filter(asked | told),
        feedback=evidence.feedback.filter(told),
    )
    tables = feature_tables(some, served)
    # Who comes in by their feedback says nothing of how often there is any.
    clicked = pl.when(asked).then("click_rate").alias("click_rate")
    return tables | {"settled": tables["settled"].with_columns(clicked)}


def _first(users: pl.Series) -> pl.Expr:
    """Whether a row is one of the first users'."""
    return pl.col(USER_HASH).is_in(users.sort().head(MOST_USERS).implode())


def _monitor_means(
    monitor: Monitor, column: pl.Series, rows: NDArray[np.int64], users: int, buckets: tuple[str, ...]
) -> NDArray[np.float32]:
    """`(users, len(buckets))` means of a column; `rows` holds the user's number for each of its rows."""
    seen = column.is_not_null().to_numpy()
    rows = rows[seen]
    if monitor.buckets is None:
        sums = np.bincount(rows, column.drop_nulls().to_numpy(), minlength=users)[:, None]
    else:
        numbers = (
            column.drop_nulls()
            .replace_strict(list(buckets), list(range(len(buckets))), return_dtype=pl.Int64)
            .to_numpy()
        )
        cells = np.bincount(rows * len(buckets) + numbers, minlength=users * len(buckets))
        sums = cells.reshape(users, len(buckets))
    counts = np.bincount(rows, minlength=users)[:, None]
    means: NDArray[np.float32] = (sums / np.where(counts == 0, np.nan, counts)).astype(np.float32)
    return means
