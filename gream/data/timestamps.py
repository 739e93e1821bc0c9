"""Timestamps of a user's table as microseconds, whatever form the whole column has.

Numbers: the unit follows from the magnitude, in bands that a real clock cannot confuse (dates between 1973 and 5138).

    below 1e8   positions in an order, no clock       1e8 .. 1e11   seconds
    1e11 .. 1e14  milliseconds    1e14 .. 1e17  microseconds    from 1e17  nanoseconds

All numbers of a column must share one band. Dates written as numbers, such as 20240531 or 20240531235959, would pass
for another clock, so a column of nothing else is an error; so is a position that is not whole, as in Excel's count of
days, and a time before 1970 or still to come. Texts are ISO 8601 dates; those without a zone are taken as UTC, and so
are datetime columns without one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from gream.data.table_files import first_row
from gream.errors import DataError

_MICROSECOND = 1_000_000
_PACKED_DIGITS = (8, 12, 14)
"""Of a year, month and day; with hour and minute; with seconds, too."""
_PACKED_YEARS = (1970, 2100)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BANDS = ("positions", "seconds", "milliseconds", "microseconds", "nanoseconds")
_BAND_STARTS = np.array([1e8, 1e11, 1e14, 1e17])
_FAR = 10**18
"""Microseconds: far after any time that is not still to come, and far below the largest int64."""


@dataclass(frozen=True)
class Timestamps:
    """Attributes:
    values: int64, microseconds since 1970 (UTC), or positions where `ordinal`.
    ordinal: whether the source has an order but no clock.
    """

    values: pl.Series
    ordinal: bool

    def seconds(self) -> pl.Series:
        """What a catalog stores: whole seconds, or the positions themselves."""
        return self.values if self.ordinal else self.values // _MICROSECOND


def parse_timestamps(column: pl.Series, place: Callable[[int], str]) -> Timestamps:
    """Read a whole column.

    Args:
        column: at least one value: numbers, texts (of numbers or ISO dates), dates or datetimes.
        place: names row i (0-based) for an error, e.g. `interactions.csv row 7`.

    Raises:
        DataError: a value is missing, unreadable, before 1970 or later than a day from now, or the column mixes units
            or holds dates written as numbers.
    """
    times = _parse(column, place)
    early = times.values < 0
    if early.any():
        row = first_row(early)
        raise DataError(f"{place(row)} has the timestamp {column[row]}, which is before 1970. Correct it.")
    late = times.values > (datetime.now(UTC) + timedelta(days=1) - _EPOCH) // timedelta(microseconds=1)
    if not times.ordinal and late.any():
        row = first_row(late)
        raise DataError(
            f"{place(row)} has the timestamp {column[row]}, which is still to come. Correct it; dates are best written "
            "as ISO dates such as 2024-05-31T23:59:59Z."
        )
    return times


def _parse(column: pl.Series, place: Callable[[int], str]) -> Timestamps:
    if column.has_nulls():
        raise DataError(f"{place(first_row(column.is_null()))} has no timestamp. Every event needs one.")
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return Timestamps(column.cast(pl.Datetime("us")).dt.epoch("us"), ordinal=False)
    if column.dtype == pl.String:
        return _from_texts(column.str.strip_chars(), place)
    if not column.dtype.is_numeric():
        raise DataError(
            f"{place(0)}: timestamps have type {column.dtype}; numbers, ISO dates or datetimes are understood."
        )
    return _from_numbers(column, place)


def _from_texts(texts: pl.Series, place: Callable[[int], str]) -> Timestamps:
    numbers = texts.cast(pl.Float64, strict=False)
    numeric = numbers.is_not_null()
    if numeric.all():
        whole = texts.cast(pl.Int64, strict=False)
        return _from_numbers(numbers if whole.has_nulls() else whole, place)
    if numeric.any():
        number, text = first_row(numeric), first_row(~numeric)
        raise DataError(
            f"timestamps mix numbers and texts: {place(number)} has {texts[number]!r}, {place(text)} has "
            f"{texts[text]!r}. Write all of them in one form."
        )
    return Timestamps(pl.Series([_from_iso(text, place, i) for i, text in enumerate(texts)], dtype=pl.Int64), False)


def _from_iso(text: str, place: Callable[[int], str], row: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"{place(row)} has the timestamp {text!r}, which is neither a number nor an ISO date such as "
            "2024-05-31T23:59:59Z."
        ) from error
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def _from_numbers(numbers: pl.Series, place: Callable[[int], str]) -> Timestamps:
    whole = numbers.cast(pl.Int64, strict=False)
    exact = numbers.dtype.is_integer() and not whole.has_nulls()
    values = (whole if exact else numbers.cast(pl.Float64)).to_numpy()
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{place(row)} has the timestamp {values[row]}; a number from 0 up is needed.")
    if _are_packed_dates(values):
        raise DataError(
            f"timestamps look like dates written as numbers: {place(0)} has {values[0]:.0f}. Write them as ISO dates "
            "such as 2024-05-31 or 2024-05-31T23:59:59Z."
        )
    bands = np.searchsorted(_BAND_STARTS, values, side="right")
    other = bands != bands[0]
    if other.any():
        odd = int(other.argmax())
        raise DataError(
            f"timestamps mix units: {place(0)} has {values[0]} ({_BANDS[bands[0]]}), {place(odd)} has {values[odd]} "
            f"({_BANDS[bands[odd]]}); rows unlike the first: {other.sum():,} of {len(values):,}. Write all in one unit."
        )
    band = _BANDS[bands[0]]
    if band == "positions" and (parts := values != np.floor(values)).any():
        row = int(parts.argmax())
        raise DataError(
            f"{place(row)} has the timestamp {values[row]}; numbers below 100,000,000 are positions in an order and "
            "must be whole. Excel counts days like this. Write dates as ISO dates such as 2024-05-31T23:59:59Z."
        )
    if band == "nanoseconds":
        values = np.minimum(values // 1_000, _FAR)
    else:
        values = values * {"positions": 1, "seconds": _MICROSECOND, "milliseconds": 1_000, "microseconds": 1}[band]
    return Timestamps(pl.Series(values.astype(np.int64)), ordinal=band == "positions")


def _are_packed_dates(values: np.ndarray) -> bool:
    """Whether every value is a date and time written as one number, year first."""
    digits = len(str(int(values[0])))
    scale = 10 ** (digits - 4)
    first, last = _PACKED_YEARS
    if digits not in _PACKED_DIGITS or values.min() < first * scale or values.max() >= (last + 1) * scale:
        return False
    whole = values.astype(np.int64)
    to_the_second = pl.Series(whole * 10 ** (_PACKED_DIGITS[-1] - digits)).cast(pl.String)
    moments = to_the_second.str.to_datetime("%Y%m%d%H%M%S", strict=False)
    return bool((whole == values).all()) and not moments.has_nulls()
