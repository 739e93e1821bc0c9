"""A second home of the workspace in an S3 store, so that a machine with an empty disk goes on where another stopped.

`GREAM_WORKSPACE_REMOTE=s3://bucket/prefix` switches it on (server and keys: see `gream.objectstore.settings`). There,
each folder is one published artifact that holds everything in it:

    prefix/STAGE/FINGERPRINT         a finished output, since it was made
    prefix/STAGE/FINGERPRINT.work    the work folder as it was at the newest checkpoint; gone when the output is there

    prefix/STAGE/FINGERPRINT/asked   written anew whenever a run asks for the output: when it was last of use

What the local workspace lacks is taken from there. Two machines that make the same output at once both do the work,
and the last one's copy stays. A store that does not answer stops the stage, which goes on when it is run again.

Left out: the cache of a language model's replies, and uploading while training goes on (a checkpoint waits for it).
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from gream.artifacts import atomic_folder, link_or_copy
from gream.errors import ArtifactError, StoreError
from gream.stages.attempts import take_lap

REMOTE: Final = "GREAM_WORKSPACE_REMOTE"
KIND: Final = "workspace_folder"
CONTENT: Final = "content"
ASKED: Final = "asked"


class Mirror:
    """The store behind a workspace. A folder `WORKSPACE/STAGE/NAME` has its copy at `prefix/STAGE/NAME`."""

    def __init__(self, uri: str) -> None:
        """Raise a `ConfigError` where the URI or the environment does not fit."""
        # Imported late: most workspaces have no mirror, and the SDK takes its time.
        from gream.objectstore.bucket import Bucket
        from gream.objectstore.uri import ArtifactUri

        self._place = ArtifactUri.parse_unpinned(uri)
        self._bucket = Bucket.from_environment(self._place.bucket)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Mirror | None":
        """The mirror that `GREAM_WORKSPACE_REMOTE` names, or None where it names none."""
        uri = environment.get(REMOTE, "").strip()
        return cls(uri) if uri else None

    def has(self, folder: Path) -> bool:
        """Whether there is a copy of a folder."""
        from gream.objectstore import Pointer

        return Pointer(self._uri(folder)).read() is not None

    def note_use(self, folder: Path) -> None:
        """Remember that a run asks for a folder now, whether there is a copy of it yet or not."""
        self._bucket.put(f"{self._prefix(folder)}/{ASKED}", b"")

    def keep(self, folder: Path) -> None:
        """Copy a folder to the store, in place of an earlier copy. Its files may be replaced meanwhile, not changed."""
        from gream.objectstore import Pointer, upload_artifact

        with _scratch(folder) as scratch:
            snapshot = scratch / "snapshot"
            with atomic_folder(snapshot, KIND) as staging:
                shutil.copytree(folder, staging / CONTENT, copy_function=link_or_copy)
            version = upload_artifact(snapshot, self._uri(folder))
        replaced = Pointer(self._uri(folder)).set(version)
        if replaced is not None:
            # Nothing else: another machine may be keeping the same folder, and its copy may have replaced ours already.
            self._bucket.delete(self._bucket.sizes(f"{self._prefix(folder)}/versions/{replaced.digest}"))

    def bring(self, folder: Path) -> bool:
        """Let a folder that is not here appear, complete, from its copy.

        Returns:
            Whether there is a copy.

        Raises:
            ArtifactError: the copy was damaged, or nothing of it was there; it is deleted now.
            StoreError: the store does not answer or refuses.
        """
        from gream.objectstore import Pointer, fetch_artifact

        pointer = Pointer(self._uri(folder))
        while (copy := pointer.read()) is not None:
            with _scratch(folder) as scratch:
                try:
                    fetched = fetch_artifact(self._uri(folder), scratch)
                except (ArtifactError, StoreError) as error:
                    if pointer.read() != copy:
                        continue  # It was no damage: another machine has replaced the copy while it was read.
                    if isinstance(error, ArtifactError):
                        self.forget(folder)
                    raise
                (fetched / CONTENT).rename(folder)
            return True
        return False

    def forget(self, folder: Path) -> None:
        """Delete the copy of a folder, if there is one."""
        prefix = self._prefix(folder)
        self._bucket.delete([f"{prefix}/current.json"])  # First: what is half deleted is no copy any more.
        self._bucket.delete(self._bucket.sizes(prefix))

    def forget_unused(self, stages: Iterable[str], since: datetime) -> list[str]:
        """Delete the copies that no run has made or asked for since then.

        A run that asks while its copy is deleted finds none, and makes the output anew.

        Args:
            stages: whose copies are looked at.
            since: with a zone.

        Returns:
            Where they were, as URIs.
        """
        newest: dict[Path, datetime] = {}
        for stage in stages:
            home = f"{self._place.prefix}/{stage}"
            for key, written in self._bucket.written(home).items():
                folder = Path(stage, key.removeprefix(f"{home}/").partition("/")[0])
                newest[folder] = max(written, newest.get(folder, written))
        unused = [folder for folder, written in newest.items() if written < since]
        for folder in unused:
            self.forget(folder)
        return [self._uri(folder) for folder in unused]

    def _prefix(self, folder: Path) -> str:
        return f"{self._place.prefix}/{folder.parent.name}/{folder.name}"

    def _uri(self, folder: Path) -> str:
        return f"s3://{self._place.bucket}/{self._prefix(folder)}"


def keep_checkpoint(work: Path) -> None:
    """Copy a stage's work folder to the mirror, where the workspace has one; called after each checkpoint."""
    mirror = Mirror.from_environment()
    if mirror is not None:
        take_lap(work)
        mirror.keep(work)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder on the same file system. The lock on the output makes its name ours; a kill may have left one."""
    scratch = folder.with_name(f".{folder.name}.mirror")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
