"""HTTP servers that run beside a test, in a thread of its process."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from threading import Thread
from typing import TypeVar

Server = TypeVar("Server", bound=HTTPServer)


@contextmanager
def in_background(server: Server) -> Iterator[Server]:
    """The server, answering until the block ends."""
    with server:
        # By default it looks every half second whether it is to stop, and every test would wait for that.
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
