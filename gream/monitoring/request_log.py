"""The log of requests: Parquet files by the hour, each written whole, under a name that follows from its content.

A file is called `part-DIGEST.parquet` after its own SHA-256. Rows that are written again after a crash replace their
file, and a reader notices a file whose content is no longer what its name says.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Final

import polars as pl

from gream.monitoring.durable import write_durably
from gream.monitoring.evidence import HOUR, REQUEST_SCHEMA, REQUESTS, RequestEvidence, hour_folder

DIGEST_LENGTH: Final = 16


class RequestLog:
    """The requests below an evidence folder. Several processes may write to one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / REQUESTS

    def write(self, requests: Iterable[RequestEvidence]) -> list[Path]:
        """Write requests, one file for each hour that they fall into; when this returns, they are on the disk.

        Returns:
            The files, in order of their hours.

        Raises:
            OSError: the folder cannot be written now. Write the same requests again later.
        """
        hours: dict[int, list[RequestEvidence]] = defaultdict(list)
        for request in requests:
            hours[request.timestamp // HOUR].append(request)
        return [self._write_hour(hour, hours[hour]) for hour in sorted(hours)]

    def _write_hour(self, hour: int, requests: list[RequestEvidence]) -> Path:
        buffer = BytesIO()
        pl.DataFrame([asdict(request) for request in requests], schema=REQUEST_SCHEMA).write_parquet(buffer)
        content = buffer.getvalue()
        folder = hour_folder(self._folder, hour)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"part-{content_name(content)}.parquet"
        # Unique to the process, so that two that write the same rows do not write into one file.
        write_durably(target, folder / f".{target.name}.{os.getpid()}.partial", content)
        return target


def content_name(content: bytes) -> str:
    """What a part of this content is called."""
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]
