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

STAGE_LINE: Final = re.compile(r"\[(\d+/\d+ )?[a-z]+\] ")
BAR_LINE: Final = re.compile(r"\d+%\||\d+(it|s)? \[\d+:\d+")
"""A tqdm bar with a total, or without one."""
ERROR_LINE: Final = re.compile(
    r"^(?:(?:gream|pipelines|components)(?:\.\w+)*\.\w+Error"
    r"|OSError|PermissionError|FileNotFoundError|NotADirectoryError|IsADirectoryError|shutil\.Error): (.+)"
)
"""Last line of the traceback of an error that is meant to be read: one of ours, or what the system says of a file."""
ANY_ERROR_LINE: Final = re.compile(r"^[\w.]+(?:Error|Exception|Interrupt)(?::|$)")
FAILED_LINE: Final = re.compile(r"^\S+ - ERROR - Task .* finished with status .*FAILURE")
"""KFP's own, after the last line of a step that failed."""

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
        self._last_error: str | None = None
        self._failed = False
        self.error: str | None = None
        """The message of the error that ended the first failed step, where it is one that is meant to be read."""

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

    def _take(self, line: str) -> None:
        if ANY_ERROR_LINE.match(line):
            readable = ERROR_LINE.match(line)  # A file that was missed before the error that counts tells nothing.
            self._last_error = readable and readable.group(1)
        elif STAGE_LINE.match(line):
            self._last_error = None
        elif FAILED_LINE.match(line) and not self._failed:
            # KFP goes on with the steps that do not need the failed one: what they print is not about it.
            self._failed, self.error = True, self._last_error
        if STAGE_LINE.match(line):
            self._show(line)
        elif BAR_LINE.search(line):
            self._show_bar(line)

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
