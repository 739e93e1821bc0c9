"""Artifacts in an S3 store: published whole or not at all, verified when they are fetched.

S3 verbs only, through the MinIO SDK, so that SeaweedFS, MinIO and AWS all serve. What lies under `s3://bucket/prefix`:

    prefix/versions/DIGEST/...           the artifact's files, its manifest.json uploaded last; DIGEST is its content's
    prefix/current.json                  the pointer: the version that readers take
    prefix/history/000001.json, ...      what the pointer said before
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gream.objectstore.artifacts import artifact_version, fetch_artifact, publish_artifact, upload_artifact
    from gream.objectstore.pointer import Pointer, PointerMovedError, Publication

__all__ = [
    "Pointer",
    "PointerMovedError",
    "Publication",
    "artifact_version",
    "fetch_artifact",
    "publish_artifact",
    "upload_artifact",
]


def __getattr__(name: str) -> Any:
    """The doors on first use: `gream --help` must not wait for the SDK."""
    if name in ("Pointer", "PointerMovedError", "Publication"):
        from gream.objectstore import pointer

        return getattr(pointer, name)
    if name in __all__:
        from gream.objectstore import artifacts

        return getattr(artifacts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
