"""The load test: what counts as answered, and no ratio where something was not."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from background_server import in_background

from benchmarks import serving
from benchmarks.ratio import NoComparisonError

pytestmark = pytest.mark.unit


class Answers(BaseHTTPRequestHandler):
    """Answers as the request says."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = json.dumps(asked["answer"]).encode()
        self.send_response(asked["status"])
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


FULL = {"status": 200, "answer": {"items": [], "degraded": False}}
PLAIN = {"status": 200, "answer": ["item-1"]}
DEGRADED = {"status": 200, "answer": {"items": [], "degraded": True}}
BUSY = {"status": 503, "answer": {"error": "busy"}}


@pytest.fixture
def url():
    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def test_only_what_is_answered_in_full_counts(url):
    load = serving.run(url, "/recommend", [FULL, BUSY, PLAIN, DEGRADED, FULL, BUSY], 2)
    assert (len(load.milliseconds), load.errors) == (3, 3)
    assert load.throughput == 3 / load.seconds


def test_a_server_that_answers_nothing_in_full_is_no_measurement(url):
    with pytest.raises(NoComparisonError, match=r"/recommend answered none of 2 requests in full\."):
        serving.run(url, "/recommend", [BUSY, DEGRADED], 1)


def load(answered: int, errors: int) -> serving.Load:
    return serving.Load(np.ones(answered), errors, seconds=2.0)


def measured(monkeypatch, ours: serving.Load, single: serving.Load, peer: serving.Load) -> None:
    found = serving.Measured({serving.CLIENTS: ours}, 1.0, single, peer)
    monkeypatch.setattr(serving, "measure", lambda policy, requests: found)


def test_throughput_is_of_answers_in_full(monkeypatch):
    measured(monkeypatch, load(40, 0), load(20, 0), load(10, 0))
    assert [ratio.ratio for ratio in serving.ratios()] == [2.0, 4.0]


def test_errors_on_any_side_end_the_comparison(monkeypatch):
    measured(monkeypatch, load(38, 2), load(20, 0), load(9, 1))
    with pytest.raises(NoComparisonError, match=r"less than was asked for: gream serve 2, generate 1\."):
        serving.ratios()
