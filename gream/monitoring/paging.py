"""Telling people: decisions that a human must see go to Prometheus' Alertmanager, which knows whom to wake and how.

An alert ends by itself when the next window's judgement is due, and goes on if that window tells of the same cause.
docs/monitoring.md says what to do about each.
"""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Final

from gream.errors import GreamError
from gream.monitoring.entries import Decision

ALERT: Final = "GreamDecision"
SEVERITIES: Final = {"page": "page", "warn": "ticket"}
"""Decisions that somebody is told of; the values are those of the platform's other alerts."""
TIMEOUT_S: Final = 30


class PagingError(GreamError):
    """Alertmanager does not answer or refuses: nobody was told."""


def tell(url: str, decision: Decision, lasts_until: int) -> bool:
    """Raise an alert for a decision that people must see.

    Args:
        url: of Alertmanager, such as `http://alertmanager-operated.monitoring:9093`.
        decision: what was decided.
        lasts_until: when the alert ends unless it is raised again, in seconds since 1970 (UTC).

    Returns:
        Whether it was such a decision.

    Raises:
        PagingError: Alertmanager does not answer or refuses.
    """
    if decision.action not in SEVERITIES:
        return False
    alert = {
        "labels": {
            "alertname": ALERT,
            "severity": SEVERITIES[decision.action],
            "action": decision.action,
            "policy_version": decision.report.policy_version,
            "cause": _cause(decision),
        },
        "annotations": {"summary": " ".join(decision.reasons), "decision": decision.id},
        "startsAt": _stamp(decision.at),
        "endsAt": _stamp(lasts_until),
    }
    body = json.dumps([alert]).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/api/v2/alerts", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return True
    except urllib.error.HTTPError as error:
        raise PagingError(f"{url} refused an alert: {error.code} {error.reason}.") from error
    except (urllib.error.URLError, OSError) as error:
        what = f"nobody was told of a decision to {decision.action}"
        raise PagingError(f"{url} does not answer: {error}; {what}.") from error


def _cause(decision: Decision) -> str:
    """What is missing and what alarms: to Alertmanager, two alerts with the same labels are one."""
    missing = (one.kind for one in decision.report.missing if one.kind != "no_reference")
    return ",".join((*missing, *decision.report.alarms)) or ("order" if decision.override else "run")


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
