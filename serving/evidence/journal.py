"""The journal: takes the evidence of each answered request, and gets it into the log of requests.

A request costs one line appended to a spool (see `serving.evidence.spool`), before it is answered: nothing that was
answered is lost when the process is killed. One thread turns spools into Parquet files, every few seconds, first of all
those that an earlier process left, and last at the stop.

A spool is deleted after its files are on the disk. Where the process is killed in between, the next one writes the same
rows again, which gives the same files under the same names (`RequestLog`). Only another release of polars may write
other bytes for them; then rows stand in two files, and whoever reads them counts each request once.

Where the disk takes no more, requests wait in memory, as many as fit, and spools wait on the disk; both are tried again
every few seconds, for as long as it takes.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gream.monitoring.evidence import RequestEvidence
from gream.monitoring.request_log import RequestLog
from serving.evidence.spool import Spools, read_spool, spool_line

ROUND_SECONDS: Final = 10.0
"""Between two rounds of the thread: a Parquet file holds the requests of so long."""
MAX_WAITING: Final = 10_000
"""Requests that wait in memory for the disk; the evidence of more is given up."""

Outcome = Literal["kept", "lost"]
Place = Literal["spool", "log", "store"]

_LOG = logging.getLogger("gream.evidence")


@dataclass(frozen=True)
class Waiting:
    """What is not in the log yet, in bytes of its lines: `memory` waits for the disk, `spool` for its Parquet file."""

    memory: int
    spool: int


class Journal:
    """The journal of one replica. Whoever makes one holds the state folder alone."""

    def __init__(
        self,
        spools: Path,
        evidence: Path,
        on_requests: Callable[[Outcome, int], None],
        on_failure: Callable[[Place], None],
        on_waiting: Callable[[Waiting], None],
    ) -> None:
        """Args:
        spools: folder of the spools.
        evidence: folder of the evidence, see `gream.monitoring.evidence`.
        on_requests: told of requests whose evidence is on the disk, or lost.
        on_failure: told of each attempt that failed, and at what: to append to a spool, or to write the log.
        on_waiting: told after each round what waits.
        """
        self._spools = Spools(spools)
        self._log = RequestLog(evidence)
        self._on_requests = on_requests
        self._on_failure = on_failure
        self._on_waiting = on_waiting
        self._lock = threading.Lock()
        self._memory: deque[bytes] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence-journal", daemon=True)

    def start(self) -> None:
        """Start the thread; what an earlier process left goes first."""
        self._thread.start()

    def stop(self) -> None:
        """Write everything that can be written now, and end the thread. Spools that are left go with the next start."""
        self._stopping.set()
        self._thread.join()

    def keep(self, request: RequestEvidence) -> None:
        """Take a request; when this returns, it outlives the process, unless the disk takes nothing now."""
        line = spool_line(request)
        with self._lock:
            # While some wait, this one gets in line: the disk is tried once a round, not once a request.
            if self._memory or not self._append(line):
                self._wait_in_memory(line)

    def _append(self, line: bytes) -> bool:
        try:
            self._spools.append(line)
        except OSError as error:
            self._failed("spool", error)
            return False
        self._on_requests("kept", 1)
        return True

    def _wait_in_memory(self, line: bytes) -> None:
        if len(self._memory) < MAX_WAITING:
            self._memory.append(line)
        else:
            self._on_requests("lost", 1)

    def _run(self) -> None:
        last_round = False
        while not last_round:
            last_round = self._stopping.is_set()
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - only a living thread can try again.
                self._on_failure("log")
                _LOG.error("a round of the journal broke off (%s)", type(error).__name__, exc_info=error)
            if not last_round:
                self._stopping.wait(ROUND_SECONDS)
        self._give_up_memory()

    def _round(self) -> None:
        self._drain_memory()
        with self._lock:
            self._spools.close()
            closed = self._spools.waiting()
        left = self._convert(closed)
        with self._lock:
            waiting = Waiting(sum(map(len, self._memory)), sum(path.stat().st_size for path in left))
        self._on_waiting(waiting)

    def _drain_memory(self) -> None:
        while self._memory:
            with self._lock:  # Not for all of them at once: requests want it too.
                if not self._append(self._memory[0]):
                    return
                self._memory.popleft()

    def _convert(self, spools: list[Path]) -> list[Path]:
        """Turn spools into files of the log; those that are left, because the disk failed."""
        for done, path in enumerate(spools):
            try:
                self._convert_one(path)
            except OSError as error:
                self._failed("log", error)
                return spools[done:]
        return []

    def _convert_one(self, path: Path) -> None:
        content = read_spool(path)
        for part in self._log.write(content.requests):
            # Of an earlier process, which was killed while it wrote this very file.
            for unfinished in part.parent.glob(f".{part.name}.*.partial"):
                unfinished.unlink()
        path.unlink()
        if content.broken:
            _LOG.warning("%s had %d lines that were not whole; they are left out", path.name, content.broken)

    def _failed(self, place: Place, error: OSError) -> None:
        self._on_failure(place)
        _LOG.warning("evidence of requests does not get into the %s (%s); it is tried again", place, error)

    def _give_up_memory(self) -> None:
        with self._lock:
            if self._memory:
                _LOG.error(
                    "the evidence of %d requests is lost: the disk took nothing until the end", len(self._memory)
                )
                self._on_requests("lost", len(self._memory))
                self._memory.clear()
