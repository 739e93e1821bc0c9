"""A real HTTP server that plays the API for the page: thirteen films, a few users, and rules to follow by hand.

Bodies are made and read by the API's own models, so that they have its exact shapes; headers are the API's own too.

The rules: the films of the newest film's group come first, then all others, both in the order of the catalogue; in
reasoning mode the group of the *oldest* film comes first. The n-th share is one half to the power of n. Films of the
history are left out.
"""

import itertools
import math
import mimetypes
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import BaseModel

from gream.indexing.tokens import code_token
from serving.api.models import (
    ErrorBody,
    HistoryEntry,
    HistoryView,
    ItemsView,
    ItemView,
    PolicyView,
    Reasoning,
    RecommendedItem,
    RecommendRequest,
    RecommendResponse,
    UsersView,
    Why,
)
from serving.api.observation import SECURITY_HEADERS
from serving.api.routes.page import PAGE
from serving.contracts import ChainPiece

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & <b>" + 80 * "b" + "</b>"
VERSION = "3fa8c10b2d1e"

# (title, category, codes); the first code is the group.
FILMS = [
    ("Alien (1979)", "Sci-Fi", (0, 0, 0)),
    ("Casablanca (1942)", "Romance", (1, 0, 0)),
    ("Aliens (1986)", "Sci-Fi", (0, 0, 1)),
    ("Airplane! (1980)", "Comedy", (2, 0, 0)),
    ("Blade Runner (1982)", "Sci-Fi", (0, 1, 0)),
    ("Before Sunrise (1995)", "Romance", (1, 1, 0)),
    (HOSTILE, "Comedy", (2, 1, 0)),
    ("Contact (1997)", "Sci-Fi", (0, 1, 1)),
    ("Groundhog Day (1993)", "Comedy", (2, 0, 1)),
    ("Titanic (1997)", "Romance", (1, 1, 1)),
    ("Brazil (1985)", "Sci-Fi", (0, 1, 2)),
    ("Notting Hill (1999)", "Romance", (1, 0, 1)),
    ("Dark City (1998)", "Sci-Fi", (0, 2, 0)),
]
CATALOGUE = {
    f"m{number}": ItemView(
        item_id=f"m{number}",
        title=title,
        categories=(category,),
        tokens=tuple(code_token(level, code) for level, code in enumerate(codes)),
    )
    for number, (title, category, codes) in enumerate(FILMS)
}
DAY = 86_400
LONG = "z" * 200
HISTORIES = {"ann": ["m5", "m0"], "bob/1": ["m3", "gone"], "cleo": ["m8", "m4"], LONG: ["m6"]}


class TroubleError(Exception):
    """An error response."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(code=code, message=message, request_id="req-1")


class PageStub(ThreadingHTTPServer):
    """The server.

    Attributes:
        asked: every RecommendRequest, in order of arrival.
        trouble: what `POST /recommend` of a mode is answered with instead, by mode.
        features_down: whether the feature store does not answer.
        lists_users: whether `GET /users` shows anybody.
        key: that is asked for; empty for none.
        first_timestamp: of each history; the other events come a day later each.
        held: users whose streamed chains stop half-way, until `may_end` is set.
        slow: what is not answered before `may_end` is set: a user whose history, or a query whose items are asked for.
        ended: users whose streams are over, in this order; None for a request with a history.
        breaks_off: whether a stream ends without a result.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[RecommendRequest] = []
        self.trouble: dict[str, TroubleError] = {}
        self.features_down = False
        self.lists_users = True
        self.key = ""
        self.first_timestamp = 10_000 * DAY
        self.held: set[str | None] = set()
        self.slow = ""
        self.may_end = threading.Event()
        self.ended: list[str | None] = []
        self.breaks_off = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def get(self, path: str, query: dict[str, str]) -> BaseModel:
        """The body of a GET."""
        match path.strip("/").split("/"):
            case ["policy"]:
                return PolicyView(
                    policy_version=VERSION,
                    engine="stub",
                    dataset="films",
                    profile="laptop",
                    stage="srpo",
                    items=len(CATALOGUE),
                    model_card="# Films",
                    metrics={},
                )
            case ["users"] if self.lists_users:
                found = [user for user in sorted(HISTORIES) if user.startswith(query["query"])]
                return UsersView(users=tuple(found[: int(query["limit"])]))
            case ["users", user, "history"]:
                return self._history(urllib.parse.unquote(user))
            case ["items"]:
                self._take_time(query["query"])
                words = query["query"].lower().split()
                found = [item for item in CATALOGUE.values() if all(word in item.title.lower() for word in words)]
                return ItemsView(items=tuple(found[: int(query["limit"])]))
        raise TroubleError(404, "not_found", "there is nothing at this path.")

    def recommend(self, request: RecommendRequest) -> RecommendResponse:
        """The answer, by the rules above."""
        self.asked.append(request)
        if request.mode in self.trouble:
            raise self.trouble[request.mode]
        degraded = request.user_id is not None and self.features_down
        history = request.history if request.user_id is None else HISTORIES.get(request.user_id, [])
        known = [CATALOGUE[item] for item in history or [] if item in CATALOGUE and not degraded]
        favourite = (known[-1] if request.mode == "direct" else known[0]).tokens[0] if known else None
        left = [item for item in CATALOGUE.values() if item not in known]
        ranked = sorted(left, key=lambda item: item.tokens[0] != favourite)[: request.k]
        return RecommendResponse(
            request_id="req-1",
            policy_version=VERSION,
            mode=request.mode,
            items=tuple(_recommended(item, place, known) for place, item in enumerate(ranked, start=1)),
            reasoning=_reasoning(known) if request.mode == "reasoning" else None,
            degraded=degraded,
            degraded_reason="features_unavailable" if degraded else None,
            ignored_items=tuple(item for item in history or [] if item not in CATALOGUE),
        )

    def stream(self, request: RecommendRequest) -> Iterator[tuple[str, BaseModel]]:
        """The events of an answer; the chain comes in two pieces."""
        answer = self.recommend(request)
        if answer.reasoning is not None:
            yield "chain", ChainPiece(text=answer.reasoning.readable[:20])
            if request.user_id in self.held:
                self.may_end.wait(30)
            yield "chain", ChainPiece(text=answer.reasoning.readable[20:])
        if not self.breaks_off:
            yield "result", answer

    def _take_time(self, asked: str) -> None:
        if asked == self.slow:
            self.may_end.wait(30)

    def _history(self, user: str) -> HistoryView:
        self._take_time(user)
        if self.features_down:
            raise TroubleError(503, "features_unavailable", "the feature store does not answer now.")
        if user not in HISTORIES:
            raise TroubleError(404, "unknown_user", "the feature store has no such user.")
        entries = []
        for day, item_id in enumerate(HISTORIES[user]):
            item = CATALOGUE.get(item_id)
            entries.append(
                HistoryEntry(
                    item_id=item_id,
                    title=item and item.title,
                    tokens=item.tokens if item else (),
                    timestamp=self.first_timestamp + day * DAY,
                )
            )
        return HistoryView(user_id=user, entries=tuple(entries))


def _recommended(item: ItemView, place: int, history: list[ItemView]) -> RecommendedItem:
    alike = next((seen for seen in reversed(history) if seen.tokens[0] == item.tokens[0]), None)
    why = Why(text="Likely next.") if alike is None else Why(text=f"Like {alike.title}.", because=alike.item_id)
    shared = 0 if alike is None else sum(ours == theirs for ours, theirs in zip(item.tokens, alike.tokens, strict=True))
    return RecommendedItem(
        item_id=item.item_id,
        title=item.title,
        score=-place * math.log(2),
        tokens=item.tokens,
        categories=item.categories,
        why=why.model_copy(update={"shared_levels": shared}),
    )


def _reasoning(history: list[ItemView]) -> Reasoning:
    if not history:
        return Reasoning(chain="evidence: none", readable="evidence: none", cited=())
    oldest, newest = history[0], history[-1]
    form = "evidence: {0}{1} | likes: films | relevant: {1}"
    return Reasoning(
        chain=form.format("".join(oldest.tokens), "".join(newest.tokens)),
        readable=form.format(f"[{oldest.title}]", f"[{newest.title}]"),
        cited=tuple(dict.fromkeys([oldest.item_id, newest.item_id])),
    )


class _Handler(BaseHTTPRequestHandler):
    server: PageStub

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        file = PAGE / ("index.html" if url.path == "/" else url.path.removeprefix("/page/"))
        if url.path in ("/", f"/page/{file.name}") and file.is_file():
            self._send(200, mimetypes.guess_type(file.name)[0] or "", file.read_bytes())
        else:
            self._answer(lambda: self.server.get(url.path, dict(urllib.parse.parse_qsl(url.query, True))))

    def do_POST(self) -> None:
        request = RecommendRequest.model_validate_json(self.rfile.read(int(self.headers["Content-Length"])))
        if urllib.parse.urlsplit(self.path).query != "stream=true":
            self._answer(lambda: self.server.recommend(request))
            return
        events = self.server.stream(request)
        try:
            self._check_key()
            first = next(events)
        except TroubleError as trouble:
            self._send_json(trouble.status, trouble.body)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # A reader who asked something else is gone.
            self._send(200, "text/event-stream", b"", whole=False)
            for name, data in itertools.chain([first], events):
                self.wfile.write(f"event: {name}\ndata: {data.model_dump_json()}\n\n".encode())
        self.server.ended.append(request.user_id)

    def _answer(self, work: Callable[[], BaseModel]) -> None:
        try:
            self._check_key()
            self._send_json(200, work())
        except TroubleError as trouble:
            self._send_json(trouble.status, trouble.body)

    def _check_key(self) -> None:
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            raise TroubleError(401, "unauthorized", "send one of this server's API keys.")

    def _send_json(self, status: int, body: BaseModel) -> None:
        self._send(status, "application/json", body.model_dump_json().encode())

    def _send(self, status: int, kind: str, body: bytes, whole: bool = True) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in SECURITY_HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            if whole:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Requests are recorded, not printed."""
