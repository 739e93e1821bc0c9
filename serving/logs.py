"""Logs as JSON, one object a line on stdout."""

import json
import logging
import sqlite3
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from gream.errors import GreamError, RequestError

_OURS: Final = (GreamError, OSError, sqlite3.Error)
"""Exceptions whose messages hold nothing of what a client sent; but for `RequestError`, which is about just that."""


class JsonFormatter(logging.Formatter):
    """A record's time, level, logger, message and `fields`; of an exception its type and place.

    An exception's own message may quote what a client sent, so it is left out, unless it is about this machine, its
    disks, or what is published.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = record.exc_info[0].__name__
            if isinstance(record.exc_info[1], _OURS) and not isinstance(record.exc_info[1], RequestError):
                entry["reason"] = str(record.exc_info[1])
            entry["at"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(entry, ensure_ascii=False)


def use_json_logs() -> None:
    """Send everything that this process logs to stdout as JSON, what libraries log included."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and logger.handlers:
            logging.getLogger(name).handlers = []
            logger.propagate = True
    logging.getLogger("gream").setLevel(logging.INFO)
