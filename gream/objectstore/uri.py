"""`s3://bucket/prefix` and `s3://bucket/prefix@DIGEST`: where an artifact is published, and which version of it."""

import re
from dataclasses import dataclass
from typing import Final

from gream.errors import ConfigError

SCHEME: Final = "s3://"
SHAPE: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
    r"/(?P<prefix>[\w.=+-]+(?:/[\w.=+-]+)*)/?"
    r"(?:@(?P<digest>[0-9a-f]{64}))?",
    re.ASCII,
)


def is_store_uri(text: str) -> bool:
    """Whether a text means a place in an S3 store; it may still be malformed."""
    return text.startswith(SCHEME)


@dataclass(frozen=True)
class ArtifactUri:
    """A place in a bucket.

    Attributes:
        bucket: the bucket's name.
        prefix: what all keys of the artifact begin with; no slash at either end.
        digest: the version that is pinned, or None for the one that the pointer names.
    """

    bucket: str
    prefix: str
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ArtifactUri":
        """Read a URI.

        Raises:
            ConfigError: it is not of the one shape that is allowed.
        """
        match = SHAPE.fullmatch(text)
        if match is None or {".", ".."} & set(match["prefix"].split("/")):
            raise ConfigError(
                f"{text!r} is no place in an S3 store; allowed is s3://BUCKET/PREFIX, the prefix of letters, digits "
                "and ._=+- between slashes, optionally followed by @ and the 64 hex digits of one version."
            )
        return cls(match["bucket"], match["prefix"], match["digest"])

    @classmethod
    def parse_unpinned(cls, text: str) -> "ArtifactUri":
        """Read a URI to write to.

        Raises:
            ConfigError: it is not of the allowed shape, or pins a version.
        """
        place = cls.parse(text)
        if place.digest is not None:
            raise ConfigError(f"{text!r} names one version, which never changes: leave out what follows the @.")
        return place

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}"

    def pin(self, digest: str) -> str:
        """The URI of one version."""
        return f"{self}@{digest}"

    def version_prefix(self, digest: str) -> str:
        """What the keys of one version begin with."""
        return f"{self.prefix}/versions/{digest}"
