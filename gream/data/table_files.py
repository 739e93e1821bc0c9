"""One table file (CSV, TSV or Parquet) as a frame, with errors that name the file and the row."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

from gream.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*SEPARATORS, ".parquet")


def read_table(path: Path) -> pl.DataFrame:
    """Read a whole table. Every column of a text file is text, so that an id such as `007` stays what it is.

    Raises:
        DataError: the file is missing, of another kind, damaged, ragged or not UTF-8, or a quote in it is unmatched.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path} ends in {path.suffix!r}; tables are read from {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise DataError(f"{path} does not exist.")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        _check_utf8(path)
        table = pl.read_csv(path, separator=SEPARATORS[path.suffix], infer_schema=False)
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path} is empty. Its first row must name the columns.") from error
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        if path.suffix in SEPARATORS and (line := _line_of_unmatched_quote(path)) is not None:
            raise DataError(
                f"{path} cannot be read ({reason}). Line {line} has the first unmatched quote: write each quote of a "
                "text twice and the text in quotes, or save the table as Parquet."
            ) from error
        raise DataError(
            f"{path} cannot be read ({reason}). Every row needs as many fields as the header, and a Parquet file must "
            "be whole."
        ) from error
    return _without_short_rows(table, path)


def row_namer(path: Path) -> Callable[[int], str]:
    """A function that names row i (0-based) of a table as a spreadsheet does: the header of a text file is row 1."""
    first = 1 if path.suffix == ".parquet" else 2
    return lambda row: f"{path} row {row + first}"


def first_row(mask: pl.Series) -> int:
    """0-based row of the first true value."""
    return int(mask.to_numpy().argmax())


def _check_utf8(path: Path) -> None:
    """The CSV reader takes a header in any encoding and names no line otherwise; this one does."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path} line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at position "
                    f"{error.start + 1}). Save the file as UTF-8."
                ) from error


def _line_of_unmatched_quote(path: Path) -> int | None:
    """The first line with a quote that has no partner in its field, or None. The CSV reader takes all up to the next
    such quote, maybe thousands of lines below, for one row, and names neither."""
    text = path.read_text(encoding="utf-8-sig")
    line = opened = 1
    begin, quotes, last = 0, 0, -1  # Of a field: its first character, its quotes so far, the last one.
    quoted = False
    for found in re.finditer(rf'["\n{SEPARATORS[path.suffix]}]|\Z', text):
        at, character = found.start(), found.group()
        if character == '"':
            if quotes == 0:
                quoted, opened = at == begin, line
            elif quoted and quotes % 2 == 0 and last != at - 1:
                return opened
            quotes, last = quotes + 1, at
        elif quoted and quotes % 2 and character:
            line += character == "\n"
        elif quotes % 2 or (quoted and last != at - 1):
            return opened
        else:
            line += character == "\n"
            begin, quotes, quoted = at + 1, 0, False
    return None


def _without_short_rows(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The table without the blank lines at its end; the reader fills up short rows and says nothing.

    Raises:
        DataError: a row has fewer fields than the header.
    """
    if table.is_empty() or not table.to_series(-1).has_nulls():  # Every row has its last field.
        return table
    csv.field_size_limit(sys.maxsize)  # A review may be longer than the 128 KiB that are usual.
    blank = 0
    with path.open(encoding="utf-8", newline="") as file:
        for row, fields in enumerate(csv.reader(file, delimiter=SEPARATORS[path.suffix]), start=-1):
            if row >= 0 and not fields:
                blank += 1
            elif blank or len(fields) < table.width:
                short = row - blank
                raise DataError(
                    f"{row_namer(path)(short)} has {0 if blank else len(fields)} fields, but the header has "
                    f"{table.width}. Fill it up, or remove it."
                )
    return table.head(table.height - blank)
