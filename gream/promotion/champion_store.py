"""The champion in an S3 store: the pointer of a published artifact, and the versions beside it."""

from collections.abc import Iterator
from pathlib import Path

from gream.artifacts import verify_artifact
from gream.objectstore.artifacts import fetch_artifact, upload_artifact
from gream.objectstore.pointer import Pointer, PointerMovedError, Publication
from gream.objectstore.uri import ArtifactUri
from gream.policy.bundle import KIND
from gream.promotion.champion import Champion, PromotionError


class StoreChampion:
    """The champion at `s3://bucket/prefix`, the URI that serving is given."""

    def __init__(self, uri: str) -> None:
        """Raise a `ConfigError` where the URI or the environment does not fit."""
        self._uri = uri
        self._pointer = Pointer(uri)

    def read(self) -> Champion | None:
        """See `ChampionPlace.read`."""
        publication = self._pointer.read()
        return None if publication is None else _champion(publication)

    def history(self) -> Iterator[Champion]:
        """See `ChampionPlace.history`."""
        return map(_champion, self._pointer.history())

    def keep(self, bundle: Path) -> str:
        """See `ChampionPlace.keep`."""
        verify_artifact(bundle, KIND)
        return upload_artifact(bundle, self._uri)

    def fetch(self, digest: str, cache: Path) -> Path:
        """See `ChampionPlace.fetch`."""
        return fetch_artifact(ArtifactUri.parse(self._uri).pin(digest), cache)

    def move(self, digest: str, expected: Champion | None) -> Champion:
        """See `ChampionPlace.move`."""
        try:
            return _champion(self._pointer.move(digest, None if expected is None else _publication(expected)))
        except PointerMovedError as error:
            raise PromotionError(f"{error} Read again, and decide again.") from error


def _champion(publication: Publication) -> Champion:
    return Champion(digest=publication.digest, since=publication.published_at, number=publication.number)


def _publication(champion: Champion) -> Publication:
    return Publication(digest=champion.digest, published_at=champion.since, number=champion.number)
