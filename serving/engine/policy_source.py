"""Where the served policy comes from: a folder, a link to one, or an S3 store, looked at again and again.

What is served is a copy in this replica's cache, named by its digest and checked file by file, that nobody changes any
more; whoever is told of it (the API reads the item table) sees exactly what the engine sees. From the same file system
the copy is made of hard links and takes no room.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gream.artifacts import VERSION_DIGITS, content_digest, link_or_copy, open_artifact, verify_artifact
from gream.errors import ArtifactError, ConfigError
from gream.objectstore import artifact_version, fetch_artifact
from gream.objectstore.uri import is_store_uri
from gream.policy.bundle import KIND

CACHE: Final = "policies"
"""Folder under the replica's state where policies are kept."""


class PolicySource:
    """The policy at one URI.

    Attributes:
        folder: where it stands; None for a store.
    """

    def __init__(self, uri: str, cache: Path) -> None:
        """Args:
        uri: a folder or a link to one, the same as `file://...`, or `s3://bucket/prefix`.
        cache: folder that keeps what was fetched.

        Raises:
            ConfigError: the URI is of another kind.
        """
        self._uri = uri
        self._cache = cache
        self.folder = None if is_store_uri(uri) else _folder(uri)

    def digest(self) -> str:
        """Digest of what stands there now; a cheap look.

        Raises:
            ArtifactError: no complete policy stands in the folder.
            StoreError: nothing is published there, or the store does not answer.
        """
        if self.folder is None:
            return artifact_version(self._uri)
        open_artifact(self.folder, KIND)
        return content_digest(self.folder)

    def fetch(self) -> Path:
        """A checked copy of what stands there now, in a folder that is named by its digest.

        Raises:
            ArtifactError: the policy is incomplete or damaged, or is being replaced just now.
            StoreError: the store does not answer.
        """
        if self.folder is None:
            return fetch_artifact(self._uri, self._cache)
        target = self._cache / self.digest()
        if not _is_sound(target):
            shutil.rmtree(target, ignore_errors=True)
            self._copy(self.folder.resolve(), target)
        return target

    def keep_only(self, *bundles: Path) -> None:
        """Delete every other copy, and what killed processes have left behind."""
        for other in self._cache.iterdir():
            if other not in bundles:
                shutil.rmtree(other, ignore_errors=True)

    def _copy(self, folder: Path, target: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=self._cache, prefix=f".{target.name[:VERSION_DIGITS]}.partial-"))
        try:
            shutil.copytree(folder, staging, copy_function=link_or_copy, dirs_exist_ok=True)
            if content_digest(staging) != target.name:
                raise ArtifactError(f"{folder} was replaced while it was read.")
            verify_artifact(staging, KIND)
            staging.chmod(0o755)
            staging.rename(target)
        except shutil.Error as error:  # A file went away under the copy.
            raise ArtifactError(f"{folder} was replaced while it was read.") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _is_sound(copy: Path) -> bool:
    try:
        verify_artifact(copy, KIND)
    except ArtifactError:  # None is there, or it was damaged since it was made.
        return False
    return True


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if "://" in uri:
        raise ConfigError(
            f"GREAM_POLICY={uri!r} is not understood: give a folder, file://FOLDER or s3://BUCKET/PREFIX."
        )
    return Path(uri)
