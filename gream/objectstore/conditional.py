"""Whether a server keeps what compare-and-swap rests on: of several conditional writes at once, one wins."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import uuid4

from gream.errors import StoreError
from gream.objectstore.bucket import Bucket

PROBE_WRITERS: Final = 6


def require_conditional_writes(bucket: Bucket, prefix: str) -> None:
    """Let several writers race for objects of no meaning under a prefix, which are deleted again.

    Raises:
        StoreError: more than one of them won.
    """
    key = f"{prefix}/probe-{uuid4().hex}"
    with ThreadPoolExecutor(PROBE_WRITERS) as pool:
        created = sum(pool.map(lambda writer: bucket.put_if(key, b"%d" % writer, None), range(PROBE_WRITERS)))
        stored = bucket.get(key)
        etag = stored.etag if stored else None
        replaced = sum(pool.map(lambda writer: bucket.put_if(key, b"new %d" % writer, etag), range(PROBE_WRITERS)))
    bucket.delete([key])
    if created > 1 or replaced > 1:
        raise StoreError(
            f"The S3 server of {bucket.place(prefix)} lets several conditional writes (If-None-Match, If-Match) "
            "through at once, so two writers could both win; nothing was moved. AWS S3, MinIO and SeaweedFS after "
            "4.16 do not."
        )
