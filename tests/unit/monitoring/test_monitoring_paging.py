"""Pages and warnings reach Alertmanager, over HTTP; other decisions disturb nobody."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from background_server import in_background
from monitoring_reports import report

from gream.monitoring.decision import DecisionSettings, decide
from gream.monitoring.entries import Override
from gream.monitoring.paging import PagingError, tell

pytestmark = pytest.mark.unit


@pytest.fixture
def alertmanager():
    """What was posted to it, with its URL; it answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        status = 200
        posted = []  # noqa: RUF012 - one server, one list.

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.posted.append((self.path, json.loads(body)))
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        Handler.url = f"http://127.0.0.1:{server.server_port}"
        yield Handler


def decided(**what):
    one = report(**what)
    return decide(one, [], one.end, DecisionSettings())


def test_a_page_is_an_alert_with_the_reasons(alertmanager):
    decision = decided(alarms=["latency"])
    assert tell(alertmanager.url + "/", decision, decision.at + 60)
    ((path, (alert,)),) = alertmanager.posted
    assert path == "/api/v2/alerts"
    assert alert["labels"] == {
        "alertname": "GreamDecision",
        "severity": "page",
        "action": "page",
        "policy_version": "champion",
        "cause": "latency",
    }
    assert alert["annotations"] == {"summary": " ".join(decision.reasons), "decision": decision.id}
    assert (alert["startsAt"], alert["endsAt"]) == ("2024-10-05T00:00:00+00:00", "2024-10-05T00:01:00+00:00")


def test_a_warning_is_a_ticket_and_a_quiet_window_nothing(alertmanager):
    assert tell(alertmanager.url, decided(alarms=["novelty"]), 0)
    assert alertmanager.posted[0][1][0]["labels"]["severity"] == "ticket"
    assert not tell(alertmanager.url, decided(), 0)
    assert not tell(alertmanager.url, decided(alarms=["hit_rate"]), 0)  # A retraining looks after itself.
    assert len(alertmanager.posted) == 1


def test_different_problems_are_different_alerts(alertmanager):
    lost = decided(alarms=["hit_rate"])
    later = report(day=2)
    overdue = decide(later, [lost], later.end, DecisionSettings())
    order = Override(id="o1", at=0, by="ada", action="warn", reason="Look at this.", until=later.end + 1)
    told = [
        decided(missing=["silent"]),
        decided(missing=["no_reference", "few_users"], skew=["category"]),
        decided(alarms=["category"], counts=["bare_texts"]),
        overdue,
        decide(later, [order], later.end, DecisionSettings()),
    ]
    assert all(tell(alertmanager.url, decision, 0) for decision in told)
    assert [alert["labels"]["cause"] for _, (alert,) in alertmanager.posted] == [
        "silent",
        "few_users,category",
        "category,bare_texts",
        "run",
        "order",
    ]


def test_who_cannot_be_told_is_said(alertmanager):
    alertmanager.status = 400
    with pytest.raises(PagingError, match="refused an alert: 400 Bad Request"):
        tell(alertmanager.url, decided(alarms=["latency"]), 0)
    with pytest.raises(PagingError, match=r"does not answer: .*nobody was told of a decision to page"):
        tell("http://127.0.0.1:1", decided(alarms=["latency"]), 0)
