"""Free a workspace of what no run has used for long: outputs, what killed attempts have left, and pulled feedback.

The store opens the lock of an output each time that a run asks for it, so the lock's time tells when that was. A lock
that is held belongs to a run under way, and its folders are left alone. Lock files stay: whoever waits for one holds it
by its file. A mirror has no locks, only the times at which runs asked. Pulled feedback has neither, and users' ids in
it: a file goes so long after a retraining last asked for it.
"""

import fcntl
import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gream.stages import EVERY_STAGE
from gream.stages.mirror import Mirror

DAY_S = 86_400
PULLED = f"evidence/{'[0-9a-f]' * 12}/**/*"
"""What `gream.stages.refresh` pulls. Evidence that is at home in a folder beside has another name."""


def tidy(workspace: Path, keep_days: int) -> list[Path]:
    """Delete what no run has asked for in the last days.

    Args:
        workspace: see `gream.stages.store.RunContext`; may be empty.
        keep_days: days that something unused stays, and pulled feedback; 0 deletes all that no run holds now.

    Returns:
        The folders that were deleted, and the files of feedback.
    """
    oldest = time.time() - keep_days * DAY_S
    locks = sorted(lock for stage in EVERY_STAGE for lock in (workspace / stage).glob("*.lock"))
    unused = [folder for lock in locks if lock.stat().st_mtime <= oldest for folder in _delete_unless_held(lock)]
    return unused + _delete_feedback(workspace, oldest)


def tidy_mirror(mirror: Mirror, keep_days: int) -> list[str]:
    """Delete the copies in a mirror that no run of any machine has made or asked for in the last days.

    Args:
        mirror: of a workspace.
        keep_days: days that something unused stays; at least one, since a run under way holds nothing there.

    Returns:
        Where they were, as URIs.

    Raises:
        StoreError: the store does not answer or refuses.
    """
    return mirror.forget_unused(EVERY_STAGE, datetime.now(UTC) - timedelta(days=max(keep_days, 1)))


def _delete_unless_held(lock: Path) -> list[Path]:
    """Delete the output that a lock guards, its unfinished attempt, and what killed copies to a mirror have left."""
    name = lock.name.removesuffix(".lock")
    # NFS gives an exclusive lock to a file that is open for writing alone. Opening it this way does not touch its time.
    with lock.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        entries = (name, f"{name}.work", f".{name}.mirror", f".{name}.work.mirror")
        found = [lock.with_name(entry) for entry in entries]
        found = [folder for folder in found if folder.is_dir()]
        for folder in found:
            shutil.rmtree(folder)
    return found


def _delete_feedback(workspace: Path, oldest: float) -> list[Path]:
    """Delete the files that were pulled by then. Their folders stay: a pull may be about to write there."""
    deleted = []
    for file in sorted(workspace.glob(PULLED)):
        with suppress(FileNotFoundError):  # The end of another run may have been quicker.
            if file.is_file() and file.stat().st_mtime <= oldest:
                file.unlink()
                deleted.append(file)
    return deleted
