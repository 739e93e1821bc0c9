"""Files that appear whole and stay: written beside their place, synced, renamed."""

import os
from pathlib import Path


def write_durably(target: Path, partial: Path, content: bytes) -> None:
    """Write a file; when this returns, its content and its name are on the disk.

    Args:
        target: where; what stands there is replaced. Its folder exists.
        partial: where it is until it is whole, in the same folder.
        content: what.

    Raises:
        OSError: it is not certain to be there. Write it again later.
    """
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)  # Half a file helps nobody, least of all on a full disk.
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
