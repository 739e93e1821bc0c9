"""A KFP server on loopback: the REST calls that `pipelines.kfp_server` makes, kept in memory.

Paths, fields and states are those of KFP's v2beta1 API; the shape of a run's tasks is that of a run of KFP 2.
"""

import json
import re
from contextlib import contextmanager
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml
from background_server import in_background

NEVER = "1970-01-01T00:00:00Z"


class KfpStub:
    """What the server knows; tests read it and change it."""

    def __init__(self, token=""):
        self.token = token
        self.endpoint = ""
        self.requests = []
        self.pipelines = {}
        self.versions = []
        self.experiments = {}
        self.runs = {}
        self.states = ["SUCCEEDED"]
        """Of a run, one for each time that it is asked for; the last one stays."""
        self.on_look = lambda: None
        """Called each time that a run is asked for; a status and body that it gives are the answer."""
        self.tasks = []
        self.logs = {}

    def hold(self, name):
        """Have a pipeline with one version, as if it had been uploaded."""
        made = {"name": name, "pipeline_id": f"pipeline-{len(self.pipelines)}"}
        self.pipelines[made["pipeline_id"]] = made
        version = {"pipeline_version_id": f"version-{len(self.versions)}", "name": "uploaded", "pipeline_spec": {}}
        self.versions.insert(0, {**version, "pipeline_id": made["pipeline_id"]})

    def answer(self, method, path, query, body):
        """Status and body, or None for an unknown path."""
        wanted = json.loads(query["filter"][0])["predicates"][0]["string_value"] if "filter" in query else None
        if (method, path) == ("GET", "/apis/v2beta1/pipelines"):
            found = [p for p in self.pipelines.values() if wanted in (None, p["name"])]
            return 200, {"pipelines": found}
        if (method, path) == ("POST", "/apis/v2beta1/pipelines"):
            made = {**body, "pipeline_id": f"pipeline-{len(self.pipelines)}"}
            self.pipelines[made["pipeline_id"]] = made
            return 200, made
        if (method, path) == ("POST", "/apis/v2beta1/pipelines/upload_version"):
            documents = list(yaml.safe_load_all(body))
            spec = {"pipeline_spec": documents[0], "platform_spec": documents[1]}
            made = {
                "pipeline_id": query["pipelineid"][0],
                "pipeline_version_id": f"version-{len(self.versions)}",
                "name": query["name"][0],
                "display_name": query["name"][0],
                "pipeline_spec": spec,
            }
            self.versions.insert(0, made)
            return 200, made
        if match := re.fullmatch(r"/apis/v2beta1/pipelines/([\w-]+)/versions", path):
            return 200, {"pipeline_versions": [v for v in self.versions if v["pipeline_id"] == match[1]]}
        if (method, path) == ("GET", "/apis/v2beta1/experiments"):
            return 200, {"experiments": [e for e in self.experiments.values() if e["display_name"] == wanted]}
        if (method, path) == ("POST", "/apis/v2beta1/experiments"):
            made = {**body, "experiment_id": f"experiment-{len(self.experiments)}"}
            self.experiments[made["experiment_id"]] = made
            return 200, made
        if (method, path) == ("GET", "/apis/v2beta1/runs"):
            return 200, {"runs": [run for run in self.runs.values() if run["display_name"] == wanted]}
        if (method, path) == ("POST", "/apis/v2beta1/runs"):
            made = {**body, "run_id": f"run-{len(self.runs)}"}
            self.runs[made["run_id"]] = made
            return 200, made
        if (match := re.fullmatch(r"/apis/v2beta1/runs/([\w-]+)", path)) and match[1] in self.runs:
            if answer := self.on_look():
                return answer
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return 200, {**self.runs[match[1]], "state": state, "run_details": {"task_details": self.tasks}}
        if match := re.fullmatch(r"/apis/v1alpha1/runs/([\w-]+)/nodes/([\w-]+)/log", path):
            if match[2] in self.logs:
                return 200, self.logs[match[2]]
            return 500, {"error_message": f"pods {match[2]!r} not found"}
        return None


def _file_of(content_type, raw):
    """The uploaded file in a multipart body."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts: Message = BytesParser().parsebytes(head + raw)
    return parts.get_payload(0).get_payload(decode=True).decode()


@contextmanager
def kfp_stub(token=""):
    """A server under way."""
    stub = KfpStub(token)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._handle("GET")

        def do_POST(self):
            self._handle("POST")

        def _handle(self, method):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type", "")
            body = _file_of(kind, raw) if kind.startswith("multipart") else json.loads(raw) if raw else None
            parts = urlsplit(self.path)
            stub.requests.append((method, parts.path))
            if stub.token and self.headers.get("authorization") != f"Bearer {stub.token}":
                return self._send(401, {"message": "who are you?"})
            answer = stub.answer(method, parts.path, parse_qs(parts.query), body)
            return self._send(*(answer or (404, {"message": "no such thing"})))

        def _send(self, status, content):
            text = content if isinstance(content, str) else json.dumps(content)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        stub.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield stub
