"""Locks of what runs on this machine. A lock goes with the process that holds it, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held_if_free(lock: Path) -> Iterator[bool]:
    """Hold a lock while the body runs, unless somebody else holds it; whether we do.

    Raises:
        OSError: the lock file cannot be made.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        yield free
