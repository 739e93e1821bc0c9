"""The S3 store: can we write there, and does it keep two writers apart?"""

from typing import TYPE_CHECKING
from uuid import uuid4

from gream.objectstore.uri import ArtifactUri
from pipelines.doctor.examination import Check, NotAskedError, SickError

if TYPE_CHECKING:
    from gream.objectstore.bucket import Bucket


def reads_as_written(bucket: "Bucket", prefix: str) -> bool:
    """Write a small object of no meaning under a prefix, read it and delete it; whether it came back as it was.

    Raises:
        StoreError: the store does not answer or refuses one of these.
    """
    key, content = f"{prefix}/probe-{uuid4().hex}", uuid4().bytes
    bucket.put(key, content)
    try:
        found = bucket.get(key)
    finally:
        bucket.delete([key])
    return found is not None and found.content == content


def checks(uri: str) -> list[Check]:
    """The checks of a place in a store."""

    def writable() -> str:
        if not uri:
            raise NotAskedError("no store is named: give --store s3://BUCKET/PREFIX.")
        from gream.objectstore.bucket import Bucket
        from gream.objectstore.conditional import require_conditional_writes

        place = ArtifactUri.parse_unpinned(uri)
        bucket = Bucket.from_environment(place.bucket)
        if not reads_as_written(bucket, place.prefix):
            raise SickError(f"{place} does not read as written.", "look for a cache before the store.")
        require_conditional_writes(bucket, place.prefix)
        return f"{place} takes, gives and keeps two writers apart."

    return [
        Check(
            "store",
            writable,
            "set GREAM_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and create the bucket.",
        )
    ]
