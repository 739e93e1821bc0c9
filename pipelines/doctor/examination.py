"""Checks that know nothing of each other, all at once, each with a time-out."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gream.errors import GreamError


class SickError(Exception):
    """Something is not as it must be.

    Attributes:
        remedy: what to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


class NotAskedError(Exception):
    """There is nothing to check, for the reason given."""


@dataclass(frozen=True)
class Check:
    """One thing to find out.

    Attributes:
        name: in a word or two.
        look: says what was found, or raises `SickError`, `NotAskedError` or a `GreamError`.
        remedy: what to do where a `GreamError` does not say it, or where nothing answers in time.
    """

    name: str
    look: Callable[[], str]
    remedy: str


@dataclass(frozen=True)
class Finding:
    """What came of a check.

    Attributes:
        check: its name.
        state: `skipped` where there was nothing to check.
        told: in one sentence.
        remedy: what to do; empty unless it failed.
    """

    check: str
    state: Literal["ok", "failed", "skipped"]
    told: str
    remedy: str = ""


def examine(checks: Sequence[Check], timeout_s: float) -> list[Finding]:
    """Make all checks; one that hangs is given up after `timeout_s`, and holds up no other.

    An error that no check foresees counts against its own check alone.
    """
    results = [queue.Queue[Finding](1) for _ in checks]
    for check, result in zip(checks, results, strict=True):
        # Daemons: a check that hangs must not keep the command from ending.
        threading.Thread(target=lambda c=check, r=result: r.put(_look(c)), daemon=True).start()
    deadline = time.monotonic() + timeout_s
    findings = []
    for check, result in zip(checks, results, strict=True):
        try:
            findings.append(result.get(timeout=max(0.0, deadline - time.monotonic())))
        except queue.Empty:
            findings.append(Finding(check.name, "failed", f"no answer within {timeout_s:g} s.", check.remedy))
    return findings


def _look(check: Check) -> Finding:
    try:
        return Finding(check.name, "ok", check.look())
    except NotAskedError as error:
        return Finding(check.name, "skipped", str(error))
    except SickError as error:
        return Finding(check.name, "failed", str(error), error.remedy)
    except GreamError as error:
        return Finding(check.name, "failed", str(error), check.remedy)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is a finding, not the end of the others
        reason = (str(error).strip() or "no reason").splitlines()[0]
        return Finding(check.name, "failed", f"{type(error).__name__}: {reason}", check.remedy)
