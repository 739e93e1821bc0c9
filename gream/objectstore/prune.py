"""Old versions of a published artifact go: a bucket of policies would otherwise grow by one with each retraining."""

from datetime import datetime, timedelta
from itertools import groupby, islice

from gream.artifacts import MANIFEST
from gream.errors import StoreError
from gream.objectstore.bucket import Bucket
from gream.objectstore.pointer import Pointer
from gream.objectstore.uri import ArtifactUri
from gream.objectstore.way_back import way_back


def prune(uri: str, keep: int, older_than: timedelta, now: datetime) -> list[str]:
    """Delete versions that nobody goes back to.

    The manifest of a version goes first: killed half-way, this leaves no version that looks whole, and the next call
    deletes the rest.

    Args:
        uri: `s3://bucket/prefix` of the artifact.
        keep: versions that stay: the one that the pointer names, those that rollbacks go to, and then what else it has
            named, the newest first.
        older_than: a younger version stays too, since its publisher may be about to let the pointer name it.
        now: with a zone.

    Returns:
        Digests of what is gone, in order.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: nothing is published there, or the store does not answer or refuses.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket, history = Bucket.from_environment(place.bucket), list(Pointer(uri).history())
    named = dict.fromkeys(state.digest for state in (*way_back(history), *history))
    kept = set(islice(named, keep))
    if not kept:
        raise StoreError(f"Nothing is published at {place}: nothing is deleted.")
    written = bucket.written(f"{place.prefix}/versions")
    gone = []
    for digest, keys in groupby(sorted(written), key=lambda key: _digest(place, key)):
        files = sorted(keys, key=lambda key: key != f"{place.version_prefix(digest)}/{MANIFEST}")
        if digest not in kept and max(written[key] for key in files) < now - older_than:
            bucket.delete(files[:1])
            bucket.delete(files[1:])
            gone.append(digest)
    return gone


def _digest(place: ArtifactUri, key: str) -> str:
    return key.removeprefix(f"{place.prefix}/versions/").partition("/")[0]
