import time

import polars as pl
import pytest

from serving.contracts import FeatureStoreError, FeedbackEvent
from serving.feedback.feedback import LOG_FOLDER, Feedback


class Store:
    """A feature store that remembers what was pushed, call by call.

    Attributes:
        down: whether pushes fail.
        calls: event ids of each push that succeeded.
    """

    def __init__(self):
        self.down = False
        self.failures = 0
        self.calls = []

    def histories_of(self, user_ids):
        return {}

    def push(self, events):
        if self.down:
            self.failures += 1
            raise FeatureStoreError("down")
        self.calls.append([event.event_id for event in events])

    @property
    def ids(self):
        return {event_id for call in self.calls for event_id in call}


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def event():
    """Makes an event."""

    def make(event_id, kind="click", **fields):
        defaults = {"user_id": "u", "item_id": "m0", "timestamp": int(time.time())}
        return FeedbackEvent(event_id=event_id, kind=kind, **(defaults | fields))

    return make


@pytest.fixture
def feedback(tmp_path, store):
    """Starts feedback in a folder; every one that was started is stopped."""
    started = []

    def start(on_backlog=lambda backlog: None, max_age_days=30):
        started.append(Feedback(tmp_path, store, max_age_days, on_backlog))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        if not one._lock.closed:
            one.stop()


@pytest.fixture
def logged(tmp_path):
    """Reads the whole monitoring log."""

    def read():
        files = sorted((tmp_path / LOG_FOLDER).rglob("*.parquet"))
        return pl.concat([pl.read_parquet(file) for file in files]) if files else pl.DataFrame()

    return read
