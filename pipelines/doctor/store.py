"""The S3 store: can we write there, and does it keep two writers apart?"""

from uuid import uuid4

from gream.objectstore.uri import ArtifactUri
from pipelines.doctor.examination import Check, NotAskedError, SickError


def checks(uri: str) -> list[Check]:
    """The checks of a place in a store."""

    def writable() -> str:
        if not uri:
            raise NotAskedError("no store is named: give --store s3://BUCKET/PREFIX.")
        from gream.objectstore.bucket import Bucket
        from gream.objectstore.conditional import require_conditional_writes

        place = ArtifactUri.parse_unpinned(uri)
        bucket = Bucket.from_environment(place.bucket)
        key, content = f"{place.prefix}/doctor-{uuid4().hex}", uuid4().bytes
        bucket.put(key, content)
        try:
            found = bucket.get(key)
        finally:
            bucket.delete([key])
        if found is None or found.content != content:
            raise SickError(f"{bucket.place(key)} does not read as written.", "look for a cache before the store.")
        require_conditional_writes(bucket, place.prefix)
        return f"{place} takes, gives and keeps two writers apart."

    return [
        Check(
            "store",
            writable,
            "set GREAM_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and create the bucket.",
        )
    ]
