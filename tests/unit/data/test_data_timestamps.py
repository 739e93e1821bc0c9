from datetime import UTC, date, datetime

import polars as pl
import pytest

from gream.data.timestamps import parse_timestamps
from gream.errors import DataError

pytestmark = pytest.mark.unit

MAY = 1_714_521_600  # 2024-05-01T00:00:00Z


def place(row):
    return f"events row {row + 2}"


def seconds(values, **kwargs):
    return parse_timestamps(pl.Series(values, **kwargs), place).seconds().to_list()


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
def test_the_unit_of_integers_follows_from_their_size(scale):
    assert seconds([MAY * scale, (MAY + 60) * scale]) == [MAY, MAY + 60]


def test_small_integer_types_do_not_overflow():
    assert seconds([MAY, MAY + 1], dtype=pl.Int32) == [MAY, MAY + 1]


@pytest.mark.parametrize(
    "values",
    [
        [float(MAY), MAY + 60.75],
        [str(MAY), f" {MAY + 60} "],
        [f"{MAY}.0", f"{MAY + 60}"],
        ["2024-05-01", "2024-05-01T00:01:00"],
        ["2024-05-01T00:00:00Z", "2024-05-01T02:01:00+02:00"],
        [datetime(2024, 5, 1), datetime(2024, 5, 1, 0, 1)],
        [datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 1, 0, 1, tzinfo=UTC)],
    ],
)
def test_every_form_of_a_time_reads_as_the_same_seconds(values):
    assert seconds(values) == [MAY, MAY + 60]


def test_dates_are_midnight_utc():
    assert seconds([date(2024, 5, 1)]) == [MAY]


def test_small_numbers_are_positions_without_a_clock():
    times = parse_timestamps(pl.Series([0, 1, 2]), place)
    assert times.ordinal
    assert times.seconds().to_list() == [0, 1, 2]


def test_finer_clocks_keep_their_order_beside_the_seconds():
    times = parse_timestamps(pl.Series([f"2024-05-01T00:00:00.{part}" for part in ("900000", "100000")]), place)
    assert times.values.to_list() == [MAY * 1_000_000 + 900_000, MAY * 1_000_000 + 100_000]
    assert times.seconds().to_list() == [MAY, MAY]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([MAY, MAY, MAY * 1_000], r"mix units: events row 2 has 1714521600 \(seconds\), events row 4 .*milliseconds"),
        ([3, MAY], r"row 2 has 3 \(positions\), events row 3 .*\(seconds\); rows unlike the first: 1 of 2"),
        (["2024-05-01", str(MAY)], r"mix numbers and texts: events row 3 has '1714521600', events row 2 has '2024"),
        (["2024-05-01", "May 1st"], r"events row 3 has the timestamp 'May 1st', .* ISO date"),
        ([MAY, None], r"events row 3 has no timestamp"),
        ([MAY, -5], r"events row 3 has the timestamp -5; a number from 0 up"),
        ([float(MAY), float("nan")], r"events row 3 has the timestamp nan"),
        ([True, False], r"events row 2: timestamps have type Boolean"),
        ([20240531, 20240601], r"dates written as numbers: events row 2 has 20240531\. Write them as ISO dates"),
        (["202405312359", "202406010000"], r"dates written as numbers: events row 2 has 202405312359\."),
        ([20240531235959], r"dates written as numbers: events row 2 has 20240531235959\."),
        ([20240531.0, 20240601.0], r"dates written as numbers: events row 2 has 20240531\."),
        ([MAY, MAY + 10**10], r"events row 3 has the timestamp 11714521600, which is still to come"),
        (["2024-05-01", "2924-05-01"], r"events row 3 has the timestamp 2924-05-01, which is still to come"),
        ([datetime(2024, 5, 1), datetime(9024, 5, 1)], r"events row 3 has the timestamp 9024-05-01 00:00:00, which"),
        ([1, 2**63], r"mix units: .* events row 3 has 9\.22\d*e\+18 \(nanoseconds\)"),
        ([2**63 + 5], r"events row 2 has the timestamp 9223372036854775813, which is still to come"),
        (["1e300"], r"events row 2 has the timestamp 1e300, which is still to come"),
        (
            [45321.25, 45321.5],
            r"events row 2 has the timestamp 45321\.25; numbers below 100,000,000 are .* Excel counts",
        ),
        (
            ["45321", "45321.75"],
            r"events row 3 has the timestamp 45321\.75; .* Write dates as ISO dates such as 2024-05",
        ),
        ([20240531.5], r"events row 2 has the timestamp 20240531\.5; .* must be whole"),
        (["2024-05-01", "0001-01-01"], r"events row 3 has the timestamp 0001-01-01, which is before 1970"),
        ([date(2024, 5, 1), date(1969, 12, 31)], r"events row 3 has the timestamp 1969-12-31, which is before 1970"),
    ],
)
def test_what_is_no_time_is_named_with_its_row(values, message):
    with pytest.raises(DataError, match=message):
        seconds(values)


@pytest.mark.parametrize(
    "values", [[20240531, 20240532], [20240531, 20241301], [19691231], [21010101], [20240531.0, 7.0]]
)
def test_numbers_that_are_not_all_dates_are_positions(values):
    assert seconds(values) == [int(value) for value in values]


def test_a_clock_that_is_a_few_hours_ahead_is_borne():
    soon = int(datetime.now(UTC).timestamp()) + 3_600
    assert seconds([soon]) == [soon]
