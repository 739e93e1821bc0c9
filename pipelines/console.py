"""What a person sees of a local run: stage messages and progress bars, nothing else; a log file keeps every line.

KFP's local runner prints its own log lines, those of its executor, and everything that the steps print, each progress
update as a line of its own (it reads the steps' output in text mode, which turns a carriage return into a new line).
`StageConsole` stands in for stdout during a run and sorts these lines.
"""

import re
import time
from collections.abc import Callable
from io import TextIOBase
from typing import Final, TextIO

from gream.errors import StoreError

STAGE_LINE: Final = re.compile(r"\[(\d+/\d+ )?[a-z]+\] ")
BAR_LINE: Final = re.compile(r"\d+%\||\d+(it|s)? \[\d+:\d+")
"""A tqdm bar with a total, or without one."""
ERROR_LINE: Final = re.compile(
    r"^(?P<kind>(?:gream|pipelines|components)(?:\.\w+)*\.\w+Error"
    r"|OSError|PermissionError|FileNotFoundError|NotADirectoryError|IsADirectoryError|shutil\.Error): (?P<message>.+)"
)
"""Last line of the traceback of an error that is meant to be read: one of ours, or what the system says of a file."""
STORE_ERROR: Final = f"{StoreError.__module__}.{StoreError.__qualname__}"
ANY_ERROR_LINE: Final = re.compile(r"^[\w.]+(?:Error|Exception|Interrupt)(?::|$)")
NEXT_LINE: Final = re.compile(r"^\S+ - INFO - Executing task ")
FAILED_LINE: Final = re.compile(r"^\S+ - ERROR - Task .*'([\w-]+)'.* finished with status .*FAILURE")
"""KFP's own, before the first line of a step, and after the last one of a step that failed."""

CURSOR_MOVE: Final = re.compile(r"\x1b\[[A-Z]")
"""How nested bars find their line."""

PLAIN_INTERVAL_S: Final = 10.0
"""Between two lines of progress where the terminal cannot overwrite lines."""


class StageConsole(TextIOBase):
    """A text stream that shows what matters on `screen` and keeps all lines in `log`."""

    def __init__(self, screen: TextIO, log: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._log = log
        self._partial = ""
        self._overwrites = screen.isatty()
        self._bar_shown = False
        self._bar_at = clock()
        self._last_error: re.Match[str] | None = None
        self._failures: list[tuple[str, re.Match[str] | None]] = []
        self._told = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take any piece of text; it is handled line by line."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            line = CURSOR_MOVE.sub("", line).rstrip()
            if line:
                self._log.write(line + "\n")
                self._log.flush()
                self._take(line.lstrip())
        return len(text)

    @property
    def error(self) -> str | None:
        """The message of the error that ended the first failed step, where it is one that is meant to be read."""
        return _message(self._first)

    @property
    def store_failed(self) -> bool:
        """Whether that error is a store's, which may be away for a moment."""
        return self._first is not None and self._first["kind"] == STORE_ERROR

    @property
    def _first(self) -> re.Match[str] | None:
        return self._failures[0][1] if self._failures else self._last_error

    def _take(self, line: str) -> None:
        if ANY_ERROR_LINE.match(line):
            # None for others: a file that was missed before the error that counts tells nothing.
            self._last_error = ERROR_LINE.match(line)
        elif failed := FAILED_LINE.match(line):
            self._failures.append((failed.group(1), self._last_error))
        elif STAGE_LINE.match(line):
            self._last_error = None
            self._show(line)
        elif BAR_LINE.search(line):
            self._show_bar(line)
        elif NEXT_LINE.match(line):
            self._tell_failures()

    def _tell_failures(self) -> None:
        """KFP goes on with the steps that do not need a failed one, for hours maybe: what has failed is said now."""
        for step, error in self._failures[self._told :]:
            message = (_message(error) or "see the log").rstrip(".")
            self._show(f"[{step}] failed: {message}; what does not need it goes on")
        self._told = len(self._failures)

    def _show(self, line: str) -> None:
        clear = "\r\x1b[2K" if self._bar_shown else ""
        self._screen.write(f"{clear}{line}\n")
        self._screen.flush()
        self._bar_shown = False
        self._bar_at = self._clock()

    def _show_bar(self, line: str) -> None:
        if self._overwrites:
            self._screen.write(f"\r\x1b[2K    {line}")
            self._bar_shown = True
        elif self._clock() - self._bar_at >= PLAIN_INTERVAL_S:
            self._screen.write(f"    {line}\n")
            self._bar_at = self._clock()
        self._screen.flush()


def _message(error: re.Match[str] | None) -> str | None:
    return error["message"] if error else None
