"""An artifact is complete or absent, and a damaged one is noticed."""

import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from gream.artifacts import atomic_folder, content_digest, open_artifact, verify_artifact, write_text_atomic
from gream.errors import ArtifactError
from pipelines.local_runner import published_folder

pytestmark = pytest.mark.unit


def make(path, content="content"):
    with atomic_folder(path, "thing", count=1) as folder:
        (folder / "part").mkdir()
        (folder / "part" / "file.txt").write_text(content)


def test_a_finished_folder_has_a_manifest(tmp_path):
    make(tmp_path / "a")
    manifest = open_artifact(tmp_path / "a", "thing")
    assert (manifest["kind"], manifest["count"], list(manifest["files"])) == ("thing", 1, ["part/file.txt"])
    verify_artifact(tmp_path / "a", "thing")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def killed(write, *arguments):
    """Let a process write that is killed meanwhile."""
    process = multiprocessing.get_context("fork").Process(target=write, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def write_half(target, door=lambda target: atomic_folder(target, "thing")):
    with door(target) as folder:
        (folder / "file.txt").write_text("half")
        die()


def replace_half(target):
    """Be killed where the old one has been moved aside and the new one is not in place."""
    rename = Path.rename
    Path.rename = lambda path, to: die() if to == target else rename(path, to)
    make(target, "new")


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("next_one", ["a", "b"])
def test_what_a_killed_writer_has_left_goes_with_the_next_write_in_its_place(tmp_path, next_one):
    killed(write_half, tmp_path / "a")
    assert [path.read_text() for path in tmp_path.rglob("file.txt")] == ["half"]
    make(tmp_path / next_one)
    assert entries(tmp_path) == [next_one]


def test_what_a_killed_run_was_to_publish_goes_when_the_next_one_is_published(tmp_path):
    killed(write_half, tmp_path / "run 1", published_folder)
    assert [path.read_text() for path in tmp_path.rglob("file.txt")] == ["half"]
    with published_folder(tmp_path / "run 2") as folder:
        (folder / "file.txt").write_text("whole")
    assert entries(tmp_path) == ["latest", "run 2"]


def test_an_old_one_that_a_killed_writer_has_moved_aside_stays_until_a_new_one_is_there(tmp_path):
    make(tmp_path / "a", "old")
    killed(replace_half, tmp_path / "a")
    make(tmp_path / "b")
    assert not (tmp_path / "a").exists()
    [aside] = set(tmp_path.rglob("manifest.json")) - {tmp_path / "b" / "manifest.json"}
    verify_artifact(aside.parent, "thing")
    assert (aside.parent / "part" / "file.txt").read_text() == "old"
    make(tmp_path / "a", "new")
    assert entries(tmp_path) == ["a", "b"]
    assert (tmp_path / "a" / "part" / "file.txt").read_text() == "new"


def test_two_writers_of_one_leave_each_other_alone(tmp_path):
    with atomic_folder(tmp_path / "a", "thing") as first:
        (first / "file.txt").write_text("first")
        make(tmp_path / "a", "second")
        assert (tmp_path / "a" / "part" / "file.txt").read_text() == "second"
    verify_artifact(tmp_path / "a", "thing")
    assert [path.read_text() for path in tmp_path.rglob("file.txt")] == ["first"]
    assert entries(tmp_path) == ["a"]


def test_where_the_file_system_has_no_locks_nothing_that_another_writer_may_need_goes(tmp_path, monkeypatch):
    def refused(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with atomic_folder(tmp_path / "a", "thing") as first:
        (first / "file.txt").write_text("first")
        make(tmp_path / "b")
    assert entries(tmp_path) == ["a", "b"]
    assert (tmp_path / "a" / "file.txt").read_text() == "first"


def test_nothing_remains_of_a_failed_one(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a", "thing") as folder:
        (folder / "file.txt").write_text(f"half {1 / 0}")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_leaves_the_old_one(tmp_path):
    make(tmp_path / "a", "old")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a", "thing"):
        raise ZeroDivisionError
    assert (tmp_path / "a" / "part" / "file.txt").read_text() == "old"
    make(tmp_path / "a", "new")
    assert (tmp_path / "a" / "part" / "file.txt").read_text() == "new"


def test_a_rewrite_that_is_stopped_while_it_removes_the_old_one_leaves_the_new_one_whole(tmp_path, monkeypatch):
    make(tmp_path / "a", "old")
    remove = shutil.rmtree

    def stopped(path, **options):
        if path.exists():
            (path / "part" / "file.txt").unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", stopped)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", "new")
    monkeypatch.setattr(shutil, "rmtree", remove)
    verify_artifact(tmp_path / "a", "thing")
    assert (tmp_path / "a" / "part" / "file.txt").read_text() == "new"


@pytest.mark.parametrize("kept", ["old", "new"])
def test_a_rewrite_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch, kept):
    """Neither where the new one stays where it is, nor where the old one cannot be moved aside."""
    make(tmp_path / "a", "old")
    rename = Path.rename

    def refused(path, target):
        if (path / "part" / "file.txt").read_text() == kept:
            raise PermissionError
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        make(tmp_path / "a", "new")
    verify_artifact(tmp_path / "a", "thing")
    assert (tmp_path / "a" / "part" / "file.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("names", [["notes.txt"], ["manifest.json"], ["deep/rows.csv", "manifest.json"]])
def test_nothing_but_an_artifact_is_replaced(tmp_path, names):
    for name in names:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text('{"name": "somebody else\'s manifest"}')
    with pytest.raises(ArtifactError, match=r"mine holds something else; name another folder\."):
        make(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert sorted(str(path.relative_to(tmp_path / "mine")) for path in tmp_path.rglob("*.*")) == sorted(names)


def test_a_file_and_a_link_are_not_replaced_but_an_empty_folder_is(tmp_path):
    make(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "file").write_text("words")
    for name in ("link", "file"):
        with pytest.raises(ArtifactError, match="holds something else"):
            make(tmp_path / name)
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    verify_artifact(tmp_path / "empty", "thing")


def test_incomplete_foreign_and_damaged_folders_are_refused(tmp_path):
    (tmp_path / "half").mkdir()
    with pytest.raises(ArtifactError, match=r"is not a complete thing: it has no manifest\.json"):
        open_artifact(tmp_path / "half", "thing")
    make(tmp_path / "a")
    with pytest.raises(ArtifactError, match="holds a 'thing', but a 'policy' is needed"):
        open_artifact(tmp_path / "a", "policy")
    (tmp_path / "a" / "part" / "file.txt").write_text("changed")
    with pytest.raises(ArtifactError, match=r"file\.txt is missing or damaged"):
        verify_artifact(tmp_path / "a", "thing")


@pytest.mark.parametrize(
    "written", ["", '{"kind": "thing", "fil', "[]", '{"kind": "thing"}', '{"files": ["file.txt"]}', "\xff"]
)
def test_a_manifest_that_is_half_written_or_none_is_refused(tmp_path, written):
    make(tmp_path / "a")
    (tmp_path / "a" / "manifest.json").write_bytes(written.encode("latin-1"))
    for read in (
        content_digest,
        lambda path: open_artifact(path, "thing"),
        lambda path: verify_artifact(path, "thing"),
    ):
        with pytest.raises(ArtifactError, match=r"a/manifest\.json is not the manifest of an artifact: it is damaged"):
            read(tmp_path / "a")


def test_nothing_has_no_digest(tmp_path):
    with pytest.raises(ArtifactError, match=r"^there is no folder .*nowhere\.$"):
        content_digest(tmp_path / "nowhere")


def test_a_folder_that_holds_what_is_looked_for_says_where(tmp_path):
    make(tmp_path / "run" / "thing")
    with pytest.raises(ArtifactError, match=r"run is not a thing: did you mean .*run/thing\?$"):
        open_artifact(tmp_path / "run", "thing")


def test_digest_is_of_the_content_alone(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b")
    make(tmp_path / "c", "other")
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b") != content_digest(tmp_path / "c")


def test_text_is_replaced_whole(tmp_path):
    write_text_atomic(tmp_path / "deep" / "file.txt", "one")
    write_text_atomic(tmp_path / "deep" / "file.txt", "two")
    assert [(path.name, path.read_text()) for path in (tmp_path / "deep").iterdir()] == [("file.txt", "two")]


def test_a_new_text_is_as_open_as_any_file_and_an_old_one_stays_as_it_was(tmp_path):
    before = os.umask(0o027)
    try:
        write_text_atomic(tmp_path / "new", "words")
        (tmp_path / "old").write_text("words")
        (tmp_path / "old").chmod(0o604)
        write_text_atomic(tmp_path / "old", "other words")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old")] == [0o640, 0o604]
