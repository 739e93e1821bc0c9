"""Spools: files of JSON lines, one for each answered request, for the seconds until these are in a Parquet file.

    FOLDER/000000000042.jsonl

A line that was appended has reached the page cache: it outlives the process, also where that is killed. Spools are not
synced, so a power loss may cost the lines of the newest ones, those that are not in a Parquet file yet.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gream.monitoring.evidence import RequestEvidence

_REQUEST = TypeAdapter(RequestEvidence)


@dataclass(frozen=True)
class SpoolContent:
    """What a spool holds.

    Attributes:
        requests: in order.
        broken: lines that are not whole: the last one where its writer was killed or the disk was full, any other one
            where power was lost.
    """

    requests: tuple[RequestEvidence, ...]
    broken: int


def spool_line(request: RequestEvidence) -> bytes:
    """A request as it stands in a spool."""
    return json.dumps(vars(request), separators=(",", ":")).encode() + b"\n"


class Spools:
    """The spools of a folder. One process may use it, and one thread of that at a time.

    A spool that is closed never changes any more; the next line opens another one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = max((int(path.stem) for path in self.waiting()), default=0) + 1
        self._open: int | None = None

    def append(self, line: bytes) -> None:
        """Append a line.

        Raises:
            OSError: the line is not kept. What may stand there of it counts as broken.
        """
        if self._open is None:
            self._open = self._create()
        try:
            written = os.write(self._open, line)
        except OSError:
            self.close()
            raise
        if written < len(line):
            self.close()
            raise OSError(f"only {written} of {len(line)} bytes were written.")

    def close(self) -> None:
        """Close the spool that is being appended to, where there is one."""
        if self._open is not None:
            handle, self._open = self._open, None
            os.close(handle)

    def waiting(self) -> list[Path]:
        """All spools, the oldest first; the last one may be open."""
        return sorted(self._folder.glob("*.jsonl"))

    def _create(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._next:012}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._next += 1
        return handle


def read_spool(path: Path) -> SpoolContent:
    """Read a spool that is closed.

    Raises:
        OSError: it cannot be read now.
    """
    *lines, torn = path.read_bytes().split(b"\n")
    requests, broken = [], int(bool(torn))
    for line in lines:
        try:
            requests.append(_REQUEST.validate_json(line))
        except ValidationError:
            broken += 1
    return SpoolContent(tuple(requests), broken)
