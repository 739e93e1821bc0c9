"""One bucket and the few S3 verbs that GREAM needs on it. Every failure comes out as a `StoreError` of one sentence.

Requests that fail on the way, or that the server answers with 429 or 5xx, are sent again with growing waits (see
`gream.objectstore.settings`); a download goes on from the byte that it had reached.
"""

import hashlib
import mimetypes
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Final

import certifi
from minio import Minio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from gream.errors import StoreError
from gream.objectstore.failures import readable
from gream.objectstore.settings import StoreSettings

PART_BYTES: Final = 16 * 2**20
"""Larger files are uploaded in parts of this size, `PARALLEL_PARTS` of them at a time."""
PARALLEL_PARTS: Final = 3
MOST_PARTS: Final = 10_000
"""S3's own limit; the parts of a file beyond 160 GB are larger."""
CHUNK_BYTES: Final = 2**20
"""What a download reads at a time."""
CHECKSUM: Final = "x-amz-meta-sha256"
"""Header of each uploaded file, so that the next attempt knows what is there. S3's own checksums differ by server."""

Progress = Callable[[int], object]
"""Is told the bytes that have gone through since the last call."""


@dataclass(frozen=True)
class Stored:
    """A small object and the tag of this very content, for `Bucket.put_if`."""

    content: bytes
    etag: str


class Bucket:
    """A bucket on the server of the settings. Threads may share it, processes may not."""

    def __init__(self, name: str, settings: StoreSettings) -> None:
        self._name = name
        self._endpoint = settings.endpoint
        self._attempts = settings.retries + 1
        retries = Retry(
            total=settings.retries,
            backoff_factor=1.0,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,  # Every verb: no request of ours does harm when it is sent twice.
        )
        self._client = Minio(
            settings.host,
            settings.access_key,
            settings.secret_key,
            settings.session_token,
            secure=settings.secure,
            region=settings.region,
            http_client=PoolManager(
                maxsize=32,
                timeout=Timeout(connect=5, read=120),
                retries=retries,
                cert_reqs="CERT_REQUIRED",
                ca_certs=str(settings.ca_bundle or certifi.where()),
            ),
        )

    @classmethod
    def from_environment(cls, name: str) -> "Bucket":
        """A bucket on the server that the environment names.

        Raises:
            ConfigError: see `StoreSettings.from_environment`.
        """
        return cls(name, StoreSettings.from_environment())

    def place(self, key: str) -> str:
        """`s3://bucket/key`, for messages."""
        return f"s3://{self._name}/{key}"

    def get(self, key: str) -> Stored | None:
        """A small object, or None where there is none."""
        with readable(self._endpoint, self.place(key)):
            try:
                response = self._client.get_object(self._name, key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
            with closing(response):
                return Stored(response.read(), response.headers["ETag"])

    def put(self, key: str, content: bytes) -> None:
        """Write a small object, whatever stands there; browsers are told its type by the key's suffix."""
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        with readable(self._endpoint, self.place(key)):
            self._client.put_object(self._name, key, BytesIO(content), len(content), kind)

    def put_if(self, key: str, content: bytes, etag: str | None) -> bool:
        """Write a small object if the one that stands there is still the one that was read.

        Args:
            key: where.
            content: what.
            etag: of the content that was read; None if nothing was there.

        Returns:
            Whether the condition held. A False may follow on a write of our own whose answer was lost on the way: who
            must know reads again and compares.
        """
        condition = {"If-None-Match": "*"} if etag is None else {"If-Match": etag}
        with readable(self._endpoint, self.place(key)):
            try:
                # The SDK has no public way to send a condition with a write.
                self._client._put_object(self._name, key, content, condition)
            except S3Error as error:
                # 409: somebody else is writing at this moment; 404: what should match is gone. AWS has all three.
                if error.response.status in (409, 412) or (error.code == "NoSuchKey" and etag is not None):
                    return False
                raise
        return True

    def holds(self, key: str, size: int, sha256: str) -> bool:
        """Whether a file of this size and checksum was uploaded to `key`."""
        with readable(self._endpoint, self.place(key)):
            try:
                found = self._client.stat_object(self._name, key)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return False
                raise
        return bool(found.size == size and found.metadata.get(CHECKSUM) == sha256)

    def upload(self, key: str, file: Path, sha256: str, progress: Progress) -> None:
        """Upload a file, a large one in parts. The server checks what arrives; nobody sees it before it is whole."""
        size = file.stat().st_size
        with readable(self._endpoint, self.place(key)), file.open("rb") as content:
            try:
                self._client.put_object(
                    self._name,
                    key,
                    content,
                    size,
                    metadata={CHECKSUM: sha256},
                    progress=_Meter(progress),
                    part_size=max(PART_BYTES, -(-size // MOST_PARTS)),
                    num_parallel_uploads=PARALLEL_PARTS,
                )
            except S3Error as error:
                if error.code != "NoSuchUpload":  # The parts were joined, the answer was lost, and we asked again.
                    raise
        # S3 may answer 200 with an error in it when parts are joined, and the SDK reads none there.
        if size > PART_BYTES and not self.holds(key, size, sha256):
            raise StoreError(f"{self.place(key)} did not become whole on the server: upload it again.")

    def download(self, key: str, target: Path, progress: Progress) -> str:
        """Download an object into a file.

        Returns:
            The SHA-256 of what came, as hex.
        """
        with target.open("wb") as file:

            def take(chunk: bytes) -> None:
                file.write(chunk)
                progress(len(chunk))

            return self._read(key, take)

    def checksum(self, key: str) -> str:
        """The SHA-256 of what an object holds, as hex: all of it is read."""
        return self._read(key, lambda _: None)

    def _read(self, key: str, take: Callable[[bytes], object]) -> str:
        """Give out an object piece by piece; its SHA-256, as hex."""
        digest, done = hashlib.sha256(), 0
        with readable(self._endpoint, self.place(key)):
            for attempt in range(1, self._attempts + 1):
                try:
                    with closing(self._client.get_object(self._name, key, offset=done)) as response:
                        for chunk in response.stream(CHUNK_BYTES):
                            take(chunk)
                            digest.update(chunk)
                            done += len(chunk)
                    break
                except HTTPError:
                    if attempt == self._attempts:
                        raise
        return digest.hexdigest()

    def sizes(self, prefix: str) -> dict[str, int]:
        """Keys under a prefix, with their sizes in bytes."""
        return {entry.object_name: entry.size for entry in self._below(prefix)}

    def written(self, prefix: str) -> dict[str, datetime]:
        """Keys under a prefix, with the times at which they were written, in UTC."""
        return {entry.object_name: entry.last_modified for entry in self._below(prefix)}

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is gone already is no error."""
        with readable(self._endpoint, f"s3://{self._name}"):
            refused = list(self._client.remove_objects(self._name, [DeleteObject(key) for key in keys]))
        if refused:
            raise StoreError(f"{self.place(refused[0].name)} was not deleted: {refused[0].code}.")

    def _below(self, prefix: str) -> list[Object]:
        with readable(self._endpoint, self.place(prefix)):
            return list(self._client.list_objects(self._name, f"{prefix}/", recursive=True))


class _Meter:
    """What the SDK reports progress to."""

    def __init__(self, progress: Progress) -> None:
        self.update = progress

    def set_meta(self, **_: object) -> None:
        """The SDK announces name and length, which the caller knows."""
