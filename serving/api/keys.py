"""API keys: `name:key,name:key` in the environment. The log names the key that was used, by its name."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gream.errors import ConfigError
from serving.api.errors import ApiError
from serving.api.record import record_of

_BEARER = HTTPBearer(auto_error=False, description="Needed where the server has API keys.")


@dataclass(frozen=True)
class ApiKeys:
    """Keys by their names; only digests are kept.

    Attributes:
        digests: pairs of name and SHA-256; empty where no key is asked for.
    """

    digests: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, text: str) -> "ApiKeys":
        """Read `name:key,name:key`.

        Raises:
            ConfigError: an entry is not of this form, a key does not fit into a header as it is, or a name comes
                twice. The message has no key.
        """
        digests: dict[str, bytes] = {}
        for position, entry in enumerate(text.split(",") if text.strip() else [], start=1):
            name, colon, key = (part.strip() for part in entry.partition(":"))
            if not (name and colon and key):
                raise ConfigError(f"GREAM_API_KEYS: entry {position} is not of the form name:key.")
            if not (key.isascii() and key.isprintable()):
                raise ConfigError(f"GREAM_API_KEYS: the key of entry {position} is not of printable ASCII.")
            if name in digests:
                raise ConfigError(f"GREAM_API_KEYS: the name {name!r} comes twice.")
            digests[name] = _digest(key)
        return cls(tuple(digests.items()))

    def name_of(self, key: str) -> str | None:
        """The name of a key, None where it is not one of these. Takes as long whichever it is."""
        given = _digest(key)
        found = None
        for name, digest in self.digests:
            if hmac.compare_digest(digest, given):
                found = name
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


async def require_key(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> None:
    """A route's dependency: let through who has a key, or everybody where there are no keys.

    Raises:
        ApiError: `unauthorized`.
    """
    keys: ApiKeys = request.app.state.parts.keys
    if not keys.digests:
        return
    name = keys.name_of(credentials.credentials) if credentials else None
    if name is None:
        raise ApiError("unauthorized", "send one of this server's API keys as 'Authorization: Bearer KEY'.")
    record_of(request).caller = name
