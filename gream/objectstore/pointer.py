"""The pointer of a published artifact: one small object that says which version readers take.

It moves by compare-and-swap: a writer says which state it has read, and S3's conditional writes (`If-Match`,
`If-None-Match`) let one of two writers through. So of two promoters that compared their candidates with the same
champion, one wins and the other is told, and no promotion is overwritten unseen.

History. A state is written to `history/NUMBER.json` before it is replaced. Whoever races for the same step writes the
same bytes there, so the history has no gaps and no record of a writer that lost.

Which servers. AWS S3, MinIO and SeaweedFS honour conditional writes; SeaweedFS up to 4.16 lets writers of the same
instant through all the same (seaweedfs#8800), and other servers may ignore the condition. So `move` first lets several
writers race for an object of no meaning: where more than one wins, it refuses. `set` works everywhere; on such a server
two of them at once may leave one record in the history instead of two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gream.artifacts import MANIFEST
from gream.errors import StoreError
from gream.objectstore.bucket import Bucket
from gream.objectstore.conditional import require_conditional_writes
from gream.objectstore.uri import ArtifactUri


class PointerMovedError(StoreError):
    """Somebody else moved the pointer since it was read."""


class Publication(BaseModel):
    """What a pointer says: `number` counts its moves from 1, `published_at` is a time in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    published_at: datetime
    number: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class _State:
    publication: Publication | None
    content: bytes
    etag: str | None


class Pointer:
    """The pointer of the artifact at a URI, `current.json` there."""

    def __init__(self, uri: str) -> None:
        """Raise a `ConfigError` where the URI or the environment does not fit."""
        self._place = ArtifactUri.parse_unpinned(uri)
        self._bucket = Bucket.from_environment(self._place.bucket)
        self._key = f"{self._place.prefix}/current.json"

    def read(self) -> Publication | None:
        """What it says now; None where nothing has been published.

        Raises:
            StoreError: the store does not answer, or something else stands there.
        """
        return self._state().publication

    def move(self, digest: str, expected: Publication | None) -> Publication:
        """Let it name another version, if it still says what the caller has read.

        Args:
            digest: a version that is complete in the store.
            expected: what `read` returned; None where nothing was published yet.

        Raises:
            PointerMovedError: it says something else by now; read again, and decide again.
            StoreError: there is no such version, or the server does not honour conditional writes.
        """
        require_conditional_writes(self._bucket, self._place.prefix)
        state = self._state()
        moved = self._swap(state, digest) if state.publication == expected else None
        if moved is None:
            raise PointerMovedError(f"The pointer of {self._place} was moved by somebody else: {self._says()}.")
        return moved

    def set(self, digest: str) -> Publication | None:
        """Let it name a version, whatever it says; of two writers at once the last one counts.

        Returns:
            What this has replaced; None where nothing was published, or this very version.

        Raises:
            StoreError: there is no such version.
        """
        while True:
            state = self._state()
            if state.publication is not None and state.publication.digest == digest:
                return None
            if self._swap(state, digest) is not None:
                return state.publication

    def history(self) -> Iterator[Publication]:
        """All that it has said, the newest first."""
        publication = self.read()
        while publication is not None:
            yield publication
            if publication.number == 1:
                return
            key = self._record(publication.number - 1)
            stored = self._bucket.get(key)
            publication = self._parse(key, stored.content) if stored else None

    def _state(self) -> _State:
        stored = self._bucket.get(self._key)
        if stored is None:
            return _State(None, b"", None)
        return _State(self._parse(self._key, stored.content), stored.content, stored.etag)

    def _swap(self, state: _State, digest: str) -> Publication | None:
        """The move from a state to a version; None if somebody else has moved it from that state."""
        if self._bucket.get(f"{self._place.version_prefix(digest)}/{MANIFEST}") is None:
            raise StoreError(f"{self._place} has no complete version {digest}: upload it before the pointer moves.")
        if state.publication is not None:
            self._bucket.put(self._record(state.publication.number), state.content)
        number = state.publication.number + 1 if state.publication else 1
        fresh = Publication(digest=digest, published_at=datetime.now(UTC), number=number)
        content = fresh.model_dump_json().encode() + b"\n"
        if self._bucket.put_if(self._key, content, state.etag):
            return fresh
        # A write of our own whose answer was lost is refused when it is sent again.
        return fresh if self._state().content == content else None

    def _says(self) -> str:
        now = self.read()
        return f"it names version {now.digest} (move {now.number})" if now else "it names nothing"

    def _parse(self, key: str, content: bytes) -> Publication:
        try:
            return Publication.model_validate_json(content)
        except ValidationError as error:
            raise StoreError(f"{self._bucket.place(key)} is not a pointer of GREAM.") from error

    def _record(self, number: int) -> str:
        return f"{self._place.prefix}/history/{number:06}.json"
