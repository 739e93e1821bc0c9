"""Feedback and the server's clock."""

import time

import pytest

from serving.feedback.feedback import OUTBOX_FILE
from serving.feedback.outbox import Backlog, Outbox

pytestmark = pytest.mark.unit


def test_a_clock_that_was_set_back_does_not_hold_up_the_log(feedback, event, logged, wait, tmp_path):
    now = int(time.time())
    outbox = Outbox(tmp_path / OUTBOX_FILE)
    outbox.add([event("before")], received=now + 3_600)
    outbox.add([event("after")], received=now)
    outbox.close()
    backlogs = []
    feedback(on_backlog=backlogs.append)
    wait(lambda: Backlog(log=0, features=0) in backlogs)
    assert sorted(logged()["event_id"]) == ["after", "before"]
