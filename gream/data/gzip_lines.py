"""Text lines of a gzip file as a stream, with progress and with errors that name the line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from gream.errors import DataError

_LINES_PER_TICK = 10_000


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, text) of each line that is not blank. One line is in memory at a time.

    Raises:
        DataError: the file is not gzip, is cut short or damaged, or a line is not UTF-8.
    """
    number = 0
    with (
        path.open("rb") as compressed,
        gzip.GzipFile(fileobj=compressed) as lines,
        tqdm(total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, leave=False) as progress,
    ):
        try:
            for number, line in enumerate(lines, start=1):
                text = line.decode("utf-8").strip()
                if text:
                    yield number, text
                if number % _LINES_PER_TICK == 0:
                    progress.update(compressed.tell() - progress.n)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{path} is not a whole gzip file: it breaks after line {number} ({error}). Download it again."
            ) from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} line {number} is not UTF-8 (byte 0x{error.object[error.start]:02x} at position "
                f"{error.start + 1}). Convert the file to UTF-8."
            ) from error
