"""A small file that several processes change: whoever writes says what they have read, and only one of two wins.

In a folder by a lock and a rename, in an S3 store by conditional writes. A reader sees the old content or the new one.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gream.artifacts import write_text_atomic
from gream.errors import StoreError
from gream.locks import locked
from gream.objectstore.uri import ArtifactUri, is_store_uri


@dataclass(frozen=True)
class Content:
    """What a document holds, and the tag of this very content; the tag is None where there is no document yet."""

    text: str
    tag: str | None


class Document(Protocol):
    """One file."""

    def read(self) -> Content:
        """What it holds now; empty where it does not exist.

        Raises:
            StoreError: it cannot be read, or is no text.
        """
        ...

    def replace(self, text: str, tag: str | None) -> bool:
        """Write a new content, if the one that was read is still there.

        Args:
            text: the new content.
            tag: of the content that was read.

        Returns:
            Whether it was; if not, nothing was written.

        Raises:
            StoreError: the store does not answer, or does not honour conditional writes.
        """
        ...


def open_document(place: str) -> Document:
    """The document at a path, or at `s3://bucket/key`.

    Raises:
        ConfigError: the URI or the environment does not fit.
    """
    return StoredDocument(place) if is_store_uri(place) else FileDocument(Path(place))


class FileDocument:
    """A file on this machine, or on a file system that honours locks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Content:
        """See `Document.read`."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Content("", None)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read: {error.strerror}.") from error
        return Content(_text(content, str(self._path)), hashlib.sha256(content).hexdigest())

    def replace(self, text: str, tag: str | None) -> bool:
        """See `Document.replace`."""
        try:
            with locked(self._path.with_name(f".{self._path.name}.lock")):
                if self.read().tag != tag:
                    return False
                write_text_atomic(self._path, text)
                return True
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror}.") from error


class StoredDocument:
    """An object in an S3 store."""

    def __init__(self, uri: str) -> None:
        from gream.objectstore.bucket import Bucket

        place = ArtifactUri.parse_unpinned(uri)
        self._key = place.prefix
        self._bucket = Bucket.from_environment(place.bucket)

    def read(self) -> Content:
        """See `Document.read`."""
        stored = self._bucket.get(self._key)
        if stored is None:
            return Content("", None)
        return Content(_text(stored.content, self._bucket.place(self._key)), stored.etag)

    def replace(self, text: str, tag: str | None) -> bool:
        """See `Document.replace`."""
        from gream.objectstore.conditional import require_conditional_writes

        require_conditional_writes(self._bucket, f"{self._key}-probes")
        if self._bucket.put_if(self._key, text.encode(), tag):
            return True
        # A write of our own whose answer was lost is refused when it is sent again.
        return self.read().text == text


def _text(content: bytes, place: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{place} is damaged: it is no text.") from error
