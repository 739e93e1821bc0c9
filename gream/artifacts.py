"""Artifacts on disk: a folder that is either complete or absent.

Every artifact is written into a sibling temporary folder and renamed into place, with a `manifest.json` as its last
file: a reader never sees half of one. The manifest holds the SHA-256 of every other file, so that an artifact can be
named by its content and a damaged copy is noticed.

What a killed process has left beside its target, `.NAME.partial-*`, goes when the next artifact is written there: a
lock, which goes with its process, tells that nobody is at it any more.
"""

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gream.errors import ArtifactError
from gream.locks import held_if_free, locked_where_possible

MANIFEST = "manifest.json"
VERSION_DIGITS = 12
"""Of a content digest: what names an artifact where people read it, in answers, logs and metrics."""

_NEW, _OLD, _LOCK = "new", "old", "writer.lock"
"""In the folder beside an artifact that is being written: it, what it replaces, and the lock of who is at it."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old content or the new, never a part.

    Who may read the file stays as it was; who may read a new one is the process's umask's affair.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_replaceable(target: Path) -> None:
    """Nothing but an artifact is ever replaced: whoever mistypes a folder keeps what is in it.

    Raises:
        ArtifactError: something stands at `target` that is neither an empty folder nor an artifact.
    """
    if target.is_symlink() or (target.exists() and not _is_ours(target)):
        raise ArtifactError(f"{target} holds something else; name another folder.")


def _is_ours(place: Path) -> bool:
    """Whether a place that exists is an empty folder or an artifact."""
    if place.is_dir() and not any(place.iterdir()):
        return True
    try:
        _read_manifest(place, "artifact")
    except ArtifactError:
        return False
    return True


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill with an artifact; on success it becomes `target`, on failure nothing remains.

    Args:
        target: where the artifact will stand. An artifact that stands there is replaced.

    Raises:
        ArtifactError: see `check_replaceable`.
    """
    check_replaceable(target)
    with partial_folder(target) as staging:
        yield staging
        staging.chmod(0o755)
        _put_in_place(staging, target)


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that may be renamed to `target`, and else goes. Once that has gone well, all that killed
    processes have left in the same place goes too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.partial-"))
    try:
        with locked_where_possible(room / _LOCK):
            staging = room / _NEW
            staging.mkdir(parents=True)  # Somebody who saw the lock before we held it may have cleared the room.
            yield staging
    finally:
        _clear(room, target)
    for lock in target.parent.glob(f".*.partial-*/{_LOCK}"):
        with suppress(OSError), held_if_free(lock) as free:
            if free:
                _clear(lock.parent, target.parent / lock.parent.name[1:].rpartition(".partial-")[0])


def _clear(room: Path, target: Path) -> None:
    """Remove what a write leaves beside its target, its lock last. What it has moved aside may be the last version that
    is whole, and goes only where another one stands."""
    new, old = room / _NEW, room / _OLD
    shutil.rmtree(new, ignore_errors=True)
    if (target / MANIFEST).is_file():
        shutil.rmtree(old, ignore_errors=True)
    if not new.exists() and not old.exists():
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def atomic_folder(target: Path, kind: str, content: Mapping[str, Any] | None = None, **facts: Any) -> Iterator[Path]:
    """A `staged_folder` that gets its manifest last.

    Args:
        target: see `staged_folder`.
        kind: what the artifact is (`"catalog"`, `"semantic_index"`, ...); `open_artifact` checks it.
        content: JSON-serialisable entry `content` of the manifest, for what a reader goes by as it does by the files:
            it is part of the artifact's content digest.
        facts: JSON-serialisable entries for the manifest that are not (counts, seeds, provenance).

    Raises:
        ArtifactError: see `check_replaceable`.
    """
    with staged_folder(target) as staging:
        yield staging
        digests = {
            str(path.relative_to(staging)): file_digest(path) for path in sorted(staging.rglob("*")) if path.is_file()
        }
        manifest = {"kind": kind, "files": digests, **({"content": content} if content else {}), **facts}
        write_text_atomic(staging / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _put_in_place(staging: Path, target: Path) -> None:
    """Rename a finished folder to `target`. What stood there is moved aside first, and back if that fails: a reader
    sees it whole, for a moment nothing, or the new one."""
    if not target.exists() or not any(target.iterdir()):
        staging.rename(target)
        return
    aside = staging.with_name(_OLD)
    try:
        target.rename(aside)
        staging.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise


def open_artifact(path: Path, kind: str) -> dict[str, Any]:
    """The manifest of the artifact at `path`.

    Raises:
        ArtifactError: nothing complete stands there, its manifest cannot be read, or it is of another kind.
    """
    manifest = _read_manifest(path, kind)
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{path} holds a {manifest.get('kind')!r}, but a {kind!r} is needed here.")
    return manifest


def verify_artifact(path: Path, kind: str) -> None:
    """Check every file of an artifact against its manifest.

    Raises:
        ArtifactError: a file is missing or its content differs.
    """
    for name, digest in open_artifact(path, kind)["files"].items():
        file = path / name
        if not file.is_file() or file_digest(file) != digest:
            raise ArtifactError(f"{file} is missing or damaged: its SHA-256 is not the one in {path / MANIFEST}.")


def content_digest(path: Path) -> str:
    """One SHA-256 for an artifact's whole content: equal folders have equal digests, whatever their paths.

    Raises:
        ArtifactError: nothing complete stands there, or its manifest cannot be read.
    """
    manifest = _read_manifest(path, "artifact")
    whole = dict(manifest["files"])
    if "content" in manifest:
        whole[MANIFEST] = manifest["content"]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path, kind: str) -> dict[str, Any]:
    """The manifest of the artifact at `path`; whoever copied it there may have written half of it."""
    file = path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ArtifactError(_said_of_nothing(path, kind)) from error
    except ValueError as error:  # No JSON, or no UTF-8.
        raise _no_manifest(file) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise _no_manifest(file)
    return manifest


def _said_of_nothing(path: Path, kind: str) -> str:
    if not path.is_dir():
        return f"there is no folder {path}."
    if (path / kind / MANIFEST).is_file():
        return f"{path} is not a {kind}: did you mean {path / kind}?"
    return f"{path} is not a complete {kind}: it has no {MANIFEST}. Run the stage that makes it again."


def _no_manifest(file: Path) -> ArtifactError:
    return ArtifactError(f"{file} is not the manifest of an artifact: it is damaged, or being written just now.")


def link_or_copy(source: str, target: str) -> None:
    """A `copy_function` for `shutil.copytree`: files that nobody changes in place need no second copy on the disk."""
    try:
        os.link(source, target)
    except OSError:  # Another file system, or one without hard links.
        shutil.copy2(source, target)
