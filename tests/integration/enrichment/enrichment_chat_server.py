"""A real HTTP server that plays an OpenAI-compatible endpoint, well-behaved or not."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-51d7"


@dataclass
class Response:
    """What the server sends back for one attempt."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def completion(content: str, prompt_tokens: int = 10, completion_tokens: int = 5, finish: str = "stop") -> Response:
    """A well-formed answer."""
    return Response(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
    )


class ChatServer(ThreadingHTTPServer):
    """Chat completions as `play` gives them: a function of the data in the first user turn and of the attempt's number.

    None drops the connection without a word.

    Attributes:
        bodies: every request's body, in order of arrival.
        arrivals: their times, in seconds.
        most_at_once: the most requests that were under way together.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.play: Callable[[Any, int], Response | None] = lambda data, attempt: completion(
            json.dumps({"profile": "Fine."})
        )
        self.bodies: list[dict[str, Any]] = []
        self.arrivals: list[float] = []
        self.most_at_once = 0
        self.asked: Counter[str] = Counter()
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def respond(self, body: dict[str, Any]) -> Response | None:
        user = body["messages"][1]["content"]
        with self._lock:
            self.bodies.append(body)
            self.arrivals.append(time.monotonic())
            attempt = self.asked[user]
            self.asked[user] += 1
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            return self.play(json.loads(user), attempt)
        finally:
            with self._lock:
                self._under_way -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {KEY}" or self.path != "/v1/chat/completions":
            response = Response({"error": {"message": f"wrong door or key: {self.headers['Authorization']}"}}, 401)
        else:
            response = self.server.respond(body)
        if response is None:
            self.close_connection = True
            return
        payload = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # a client that timed out, or was killed, is gone
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    def log_message(self, *args: object) -> None:
        """Requests are recorded, not printed."""
