"""By which names a server is called."""

from collections.abc import Set
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api.errors import ApiError, answer_http_error
from serving.api.limits import UNLIMITED


def parse_hosts(text: str) -> frozenset[str]:
    """The hosts of `GREAM_ALLOWED_HOSTS`.

    >>> sorted(parse_hosts("Localhost, [::1]"))
    ['::1', 'localhost']
    """
    return frozenset(host.strip(" []").lower() for host in text.split(",") if host.strip())


class HostCheck:
    """ASGI middleware: a request that calls this server by another name is refused.

    A page of the web can have its own name resolved to this machine, and is then allowed to read what a browser here
    gets from it (DNS rebinding). That name is what gives it away. What probes and Prometheus ask for, by addresses of
    their own, tells of no user and is answered by any name.
    """

    def __init__(self, app: ASGIApp, hosts: Set[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with 421 if it calls another host."""
        guarded = scope["type"] == "http" and scope["path"] not in UNLIMITED
        if guarded and _called(Headers(scope=scope).get("Host", "")) not in self._hosts:
            error = ApiError("wrong_host", "this server does not answer by this name: GREAM_ALLOWED_HOSTS has others.")
            await (await answer_http_error(Request(scope), error))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _called(header: str) -> str | None:
    """The name in a `Host` header, without its port; None where there is none.

    >>> _called("LOCALHOST:3000"), _called("[::1]:3000"), _called("[::1"), _called("")
    ('localhost', '::1', None, None)
    """
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
