"""A real HTTP server that speaks just enough S3 for our client, and misbehaves when it is told to.

What a well-behaved server does is tested on SeaweedFS (tests/integration/objectstore).
"""

import hashlib
import re
import threading
import time
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class TinyS3(ThreadingHTTPServer):
    """Objects in a dictionary by `/bucket/key`.

    Attributes:
        objects: their contents.
        honours_conditions: whether `If-Match` and `If-None-Match` mean anything.
        checks_and_writes_at_once: whether no other request comes between looking at a condition and writing.
        failures: how many of the next requests are answered 503 and otherwise ignored.
        lost_answers: how many of the next conditional writes to keys that end in `lost_key` are done and answered 500.
        joins: what becomes of the next uploads in parts: `refused in a 200`, or `answer lost`; the others are joined.
        cut_after: bytes after which the next download breaks off, or None.
        ranges: the `Range` header of each download.
        meeting: where the downloads of several readers wait for each other, or None.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.honours_conditions = True
        self.checks_and_writes_at_once = True
        self.lock = threading.Lock()
        self.failures = 0
        self.lost_answers = 0
        self.lost_key = "current.json"
        self.joins: list[str] = []
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.metadata: dict[str, str] = {}
        self.cut_after: int | None = None
        self.ranges: list[str | None] = []
        self.meeting: threading.Barrier | None = None

    @property
    def url(self) -> str:
        """What `GREAM_S3_ENDPOINT` should be."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TinyS3

    def do_GET(self) -> None:
        key, store = self._key(), self.server
        if self._fails():
            return
        if "list-type" in self.path:
            self._list(key)
        elif key not in store.objects:
            self._error(404, "NoSuchKey")
        else:
            if store.meeting is not None:
                store.meeting.wait()
            wanted = self.headers.get("Range")
            store.ranges.append(wanted)
            content = store.objects[key][int(wanted[len("bytes=") : -1]) if wanted else 0 :]
            self.send_response(206 if wanted else 200)
            self._headers(content, store.objects[key])
            cut, store.cut_after = store.cut_after, None
            self.wfile.write(content[:cut])
            self.close_connection = cut is not None

    def do_HEAD(self) -> None:
        key, store = self._key(), self.server
        if key not in store.objects:
            self.send_response(404)
            self._headers(b"", b"")
            return
        self.send_response(200)
        self.send_header("x-amz-meta-sha256", store.metadata[key])
        self.send_header("Last-Modified", "Fri, 27 Nov 2026 06:00:00 GMT")
        self._headers(store.objects[key], store.objects[key])

    def do_DELETE(self) -> None:
        """Only that of an upload in parts."""
        if self.server.uploads.pop(self._key(), None) is None:
            self._error(404, "NoSuchUpload")
        else:
            self._answer(204, b"")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        key, store = self._key(), self.server
        if self._fails():
            return
        if "partNumber=" in self.path:
            (number,) = parse_qs(urlsplit(self.path).query)["partNumber"]
            store.uploads[key][int(number)] = content
            self._answer(200, b"", content)
            return
        conditional = {"If-Match", "If-None-Match"} & set(self.headers)
        with store.lock if store.checks_and_writes_at_once else nullcontext():
            if store.honours_conditions and not self._condition_holds(key):
                self._error(412, "PreconditionFailed")
                return
            if not store.checks_and_writes_at_once:
                time.sleep(0.05)
            store.objects[key] = content
        if conditional and store.lost_answers and key.endswith(store.lost_key):
            store.lost_answers -= 1
            self._error(500, "InternalError")
        else:
            self._answer(200, b"", content)

    def do_POST(self) -> None:
        """The deletion of several objects, and both ends of an upload in parts."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = self._key()
        if "uploads" in parse_qs(urlsplit(self.path).query, keep_blank_values=True):
            self.server.uploads[key] = {}
            self.server.metadata[key] = self.headers["x-amz-meta-sha256"]
            opened = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, opened.encode())
            return
        if "uploadId=" in self.path:
            self._join(key)
            return
        for key in re.findall("<Key>(.*?)</Key>", body):
            self.server.objects.pop(f"{self._key().rstrip('/')}/{key}", None)
        self._answer(200, b"<DeleteResult></DeleteResult>")

    def _key(self) -> str:
        """`/bucket/key` that the request is about."""
        return unquote(urlsplit(self.path).path)

    def _join(self, key: str) -> None:
        parts = self.server.uploads.pop(key, None)
        if parts is None:
            self._error(404, "NoSuchUpload")
            return
        what = self.server.joins.pop(0) if self.server.joins else ""
        if what == "refused in a 200":
            self._error(200, "InternalError")
            return
        self.server.objects[key] = b"".join(content for _, content in sorted(parts.items()))
        if what == "answer lost":
            self._error(500, "InternalError")
        else:
            name = "CompleteMultipartUploadResult"
            self._answer(200, f"<{name}><ETag>1</ETag></{name}>".encode())

    def _list(self, bucket: str) -> None:
        (prefix,) = parse_qs(urlsplit(self.path).query)["prefix"]
        found = {key.removeprefix(f"{bucket}/"): content for key, content in self.server.objects.items()}
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size></Contents>"
            for key, content in found.items()
            if key.startswith(prefix)
        )
        body = (
            f"<ListBucketResult><Name>{bucket[1:]}</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
        )
        self._answer(200, body.encode())

    def _condition_holds(self, key: str) -> bool:
        there = self.server.objects.get(key)
        if self.headers.get("If-None-Match") == "*":
            return there is None
        wanted = self.headers.get("If-Match")
        return wanted is None or (there is not None and wanted == _etag(there))

    def _fails(self) -> bool:
        if not self.server.failures:
            return False
        self.server.failures -= 1
        self._error(503, "SlowDown")
        return True

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{escape(code)}</Message></Error>".encode())

    def _answer(self, status: int, body: bytes, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self._headers(body, content)
        self.wfile.write(body)

    def _headers(self, body: bytes, content: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", _etag(content))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'
