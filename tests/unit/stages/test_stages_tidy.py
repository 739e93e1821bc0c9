import errno
import fcntl
import os
import time

import pytest

from gream.artifacts import atomic_folder
from gream.monitoring.evidence_store import fetch_evidence
from gream.stages.store import Recipe, produce
from gream.stages.tidy import DAY_S, tidy

pytestmark = pytest.mark.unit


def recipe(seed):
    return Recipe(stage="index", kind="toy", settings={}, seed=seed, inputs={}, code=("indexing",))


def make(target, _work):
    with atomic_folder(target, "toy") as folder:
        (folder / "text").write_text("made")
    return {}


def age(workspace, seed, days):
    lock = workspace / "index" / f"{recipe(seed).fingerprint()}.lock"
    os.utime(lock, (time.time() - days * DAY_S,) * 2)
    return lock


def test_what_no_run_has_asked_for_goes(tmp_path):
    old, fresh = (produce(recipe(seed), make, tmp_path) for seed in (1, 2))
    age(tmp_path, 1, 31)
    age(tmp_path, 2, 29)
    assert tidy(tmp_path, keep_days=30) == [old]
    assert not old.exists()
    assert fresh.exists()


def test_asking_again_keeps_it(tmp_path):
    done = produce(recipe(1), make, tmp_path)
    age(tmp_path, 1, 31)
    assert produce(recipe(1), make, tmp_path) == done
    assert tidy(tmp_path, keep_days=30) == []
    assert done.exists()


def test_unfinished_attempts_go_too_but_not_one_under_way(tmp_path):
    work = tmp_path / "index" / f"{recipe(1).fingerprint()}.work"

    def fail(target, work):
        (work / "checkpoint").write_text("step 7")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        produce(recipe(1), fail, tmp_path)
    lock = age(tmp_path, 1, 31)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert tidy(tmp_path, keep_days=30) == []
    assert (work / "checkpoint").exists()
    assert tidy(tmp_path, keep_days=30) == [work]
    assert not work.exists()


def test_what_killed_copies_to_a_mirror_have_left_goes_too(tmp_path):
    done = produce(recipe(1), make, tmp_path)
    copies = [done.with_name(f".{done.name}{left}.mirror") for left in ("", ".work")]
    for copy in copies:
        (copy / "snapshot").mkdir(parents=True)
    age(tmp_path, 1, 31)
    assert tidy(tmp_path, keep_days=30) == [done, *copies]
    assert not any(copy.exists() for copy in copies)


class NoStore:
    """Whoever asks it for anything fails."""


def test_pulled_feedback_goes_so_long_after_it_was_wanted(tmp_path):
    hour = tmp_path / "evidence" / "0123456789ab" / "feedback" / "date=2026-10-01" / "hour=07"
    old, broken_off, fresh = (hour / name for name in ("part-a.parquet", ".part-b.parquet.7.partial", "part-c.parquet"))
    wanted = hour / "part-d.parquet"
    own = tmp_path / "evidence" / "feedback" / "date=2026-10-01" / "hour=07" / "part-a.parquet"
    for file, days in ((old, 31), (broken_off, 31), (fresh, 29), (wanted, 31), (own, 31)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"who clicked what")
        os.utime(file, (time.time() - days * DAY_S,) * 2)
    assert fetch_evidence(NoStore(), {wanted: ("its key", wanted.stat().st_size)}) == 0
    assert set(tidy(tmp_path, keep_days=30)) == {old, broken_off}
    assert all(file.exists() for file in (fresh, wanted, own))


def test_looking_does_not_count_as_asking(tmp_path):
    done = produce(recipe(1), make, tmp_path)
    age(tmp_path, 1, 20)
    assert tidy(tmp_path, keep_days=30) == []
    assert tidy(tmp_path, keep_days=19) == [done]


def test_a_workspace_on_nfs_is_tidied_too(tmp_path, monkeypatch):
    done = produce(recipe(1), make, tmp_path)
    age(tmp_path, 1, 31)
    flock = fcntl.flock

    def flock_of_nfs(file, operation):
        if operation & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_of_nfs)
    assert tidy(tmp_path, keep_days=30) == [done]


def test_empty_workspace_is_tidy(tmp_path):
    assert tidy(tmp_path / "nothing", keep_days=1) == []
