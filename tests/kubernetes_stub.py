"""A Kubernetes API server on loopback: custom resources in memory, and whatever lists a test puts there."""

import json
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from background_server import in_background
from kubernetes import client


class KubernetesStub:
    """What the cluster knows; tests read it and change it."""

    def __init__(self):
        self.host = ""
        self.lists = {}
        """Bodies by path, for GET."""
        self.trainjobs = {}
        self.created = []
        self.deleted = []
        self.unanswered_status = 503
        self.unanswered = Counter()
        """How many of the next requests of a method (GET, ...) find the server restarting."""
        self.on_create = lambda _manifest: None
        self.on_get = lambda _found: None
        """Called with a TrainJob each time that it is looked at; may change it, or take it away afterwards."""

    def api(self):
        """A client of this cluster."""
        return client.ApiClient(client.Configuration(host=self.host))

    def answer(self, method, path, body):
        """Status and body."""
        if self.unanswered[method]:
            self.unanswered[method] -= 1
            return self.unanswered_status, {"reason": "It restarts"}
        if method == "GET" and path in self.lists:
            return 200, self.lists[path]
        *_, parent, last = path.split("/")
        if method == "POST" and last == "trainjobs":
            name = body["metadata"]["name"]
            if name in self.trainjobs:
                return 409, {"reason": "AlreadyExists"}
            self.trainjobs[name] = body
            self.created.append(body)
            self.on_create(body)
            return 201, body
        if parent == "trainjobs" and last in self.trainjobs:
            found = self.trainjobs[last]
            if method == "GET":
                self.on_get(found)
                return 200, found
            self.deleted.append(last)
            if "deletionTimestamp" not in found["metadata"]:  # Else it goes when its pods have gone.
                del self.trainjobs[last]
            return 200, found
        return 404, {"reason": "NotFound"}


@contextmanager
def kubernetes_stub():
    """A server under way."""
    stub = KubernetesStub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._handle("GET")

        def do_POST(self):
            self._handle("POST")

        def do_DELETE(self):
            self._handle("DELETE")

        def _handle(self, method):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = stub.answer(method, urlsplit(self.path).path, json.loads(raw) if raw else None)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        stub.host = f"http://127.0.0.1:{server.server_port}"
        yield stub
