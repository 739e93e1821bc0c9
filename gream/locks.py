"""Locks of what runs on this machine. A lock goes with the process that holds it, however that ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, waiting for it; the lock goes with the process that holds it.

    Raises:
        OSError: the lock file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_where_possible(path: Path) -> Iterator[None]:
    """Hold a lock, waiting for it, so that nobody finds it free; nor does anybody where the file system has no locks.

    Raises:
        OSError: the lock file cannot be made.
    """
    with path.open("w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def held_if_free(lock: Path, patience_s: float = 0.0) -> Iterator[bool]:
    """Hold a lock while the body runs, unless somebody else holds it, and goes on to for so long; whether we do.

    Raises:
        OSError: the lock file cannot be made.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        deadline = time.monotonic() + patience_s
        while not (free := _taken(file)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield free


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
