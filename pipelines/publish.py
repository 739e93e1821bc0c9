"""Publish a finished local run to an S3 store, in the layout of its folder.

    prefix/catalog, prefix/policy    artifacts (`gream.objectstore`): each has its versions and a pointer
    prefix/reports/VERSION/          report.html and metrics.json of the policy of that version

The policy's pointer moves last: whoever follows it finds the rest.
"""

from pathlib import Path

from gream.artifacts import content_digest
from gream.errors import StoreError
from gream.objectstore import Pointer, publish_artifact
from gream.objectstore.bucket import Bucket
from gream.objectstore.uri import ArtifactUri
from pipelines.doctor.store import reads_as_written


def require_store(uri: str) -> None:
    """Find out before a long run whether it could be published.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer, or refuses to let a small object be written, read or deleted.
    """
    Pointer(_below(uri, "policy")).read()
    place = ArtifactUri.parse_unpinned(uri)
    if not reads_as_written(Bucket.from_environment(place.bucket), place.prefix):
        raise StoreError(f"{place} does not read as written: look for a cache before the store.")


def publish_run(run: Path, uri: str) -> str:
    """Publish a run's folder (see `pipelines.local`).

    Returns:
        The URI of the policy's version, pinned.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses; the same call goes on from there.
    """
    place = ArtifactUri.parse_unpinned(uri)
    publish_artifact(run / "catalog", _below(uri, "catalog"))
    version = content_digest(run / "policy")
    bucket = Bucket.from_environment(place.bucket)
    for name in ("report.html", "metrics.json"):
        bucket.put(f"{place.prefix}/reports/{version}/{name}", (run / name).read_bytes())
    return ArtifactUri.parse(_below(uri, "policy")).pin(publish_artifact(run / "policy", _below(uri, "policy")))


def _below(uri: str, name: str) -> str:
    return f"{ArtifactUri.parse_unpinned(uri)}/{name}"
