"""What is pushed when; that it arrives is tested with a real store, in tests/integration/objectstore."""

import threading

import pytest

from gream.errors import ConfigError, StoreError
from serving.evidence import pusher as pusher_module
from serving.evidence.pusher import Pusher

pytestmark = pytest.mark.unit

NOW = 20_000 * 86_400
DAY = 86_400
URI = "s3://shop/evidence"
EVERYTHING = [("prune", NOW - 2 * DAY), ("push", 0)]
RECENT = ("push", NOW - 7_200)


class Store:
    """Takes note of calls, as (what, from or before when).

    Attributes:
        trouble: what goes wrong with the next pushes, None for nothing.
        locked: whether the disk lets nothing be deleted.
    """

    def __init__(self):
        self.calls = []
        self.trouble = []
        self.locked = False

    def push(self, folder, uri, since=0):
        self.calls.append(("push", since))
        error = self.trouble.pop(0) if self.trouble else None
        if error is not None:
            raise error

    def prune(self, folder, before):
        self.calls.append(("prune", before))
        if self.locked:
            raise OSError("disk")


@pytest.fixture
def store(monkeypatch):
    store = Store()
    monkeypatch.setattr(pusher_module, "push_evidence", store.push)
    monkeypatch.setattr(pusher_module, "prune_evidence", store.prune)
    monkeypatch.setattr(pusher_module.time, "time", lambda: NOW)
    monkeypatch.setattr(pusher_module, "PUSH_SECONDS", 0.01)
    return store


@pytest.fixture
def failures():
    return []


@pytest.fixture
def pusher(tmp_path, failures, monkeypatch):
    monkeypatch.setenv("GREAM_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return Pusher(tmp_path, URI, lambda: failures.append(1))


def test_everything_is_looked_through_at_the_start_and_recent_hours_afterwards_last_at_the_stop(pusher, store, wait):
    pusher.start()
    wait(lambda: len(store.calls) > 4)
    before_the_stop = len(store.calls)
    pusher.stop()
    assert store.calls[:2] == EVERYTHING
    assert set(store.calls[2:]) == {RECENT}
    assert len(store.calls) > before_the_stop


def test_everything_is_looked_through_again_every_hour(pusher, store, wait, monkeypatch):
    monkeypatch.setattr(pusher_module, "EVERYTHING_SECONDS", 0.0)
    pusher.start()
    wait(lambda: len(store.calls) > 5)
    pusher.stop()
    assert store.calls[:4] == EVERYTHING * 2


@pytest.mark.parametrize("error", [StoreError("the store does not answer."), OSError("disk"), ZeroDivisionError()])
def test_a_push_that_fails_is_counted_and_made_good_by_looking_through_everything(
    pusher, store, failures, wait, caplog, error
):
    store.trouble = [None, error]
    pusher.start()
    wait(lambda: len(store.calls) > 6)
    pusher.stop()
    assert store.calls[:5] == [*EVERYTHING, RECENT, *EVERYTHING]
    assert failures == [1]
    assert len([record for record in caplog.records if record.name == "gream.evidence"]) == 1


@pytest.mark.parametrize("also_down", [False, True])
def test_a_disk_that_lets_nothing_be_deleted_holds_up_no_push_and_is_counted(pusher, store, failures, wait, also_down):
    store.locked = True
    store.trouble = [StoreError("the store does not answer.")] if also_down else []
    pusher.start()
    wait(lambda: len(store.calls) > 1)
    store.locked = False
    pusher.stop()
    assert store.calls[:4] == EVERYTHING * 2
    assert failures == [1]


def test_a_store_that_hangs_is_not_waited_for_at_the_stop(pusher, store, wait, monkeypatch):
    monkeypatch.setattr(pusher_module, "STOP_SECONDS", 0.05)
    hold = threading.Event()
    monkeypatch.setattr(pusher_module, "push_evidence", lambda folder, uri, since=0: hold.wait())
    pusher.start()
    pusher.stop()  # Returns, though nobody has let go of the push.
    hold.set()


@pytest.mark.parametrize(
    ("uri", "endpoint", "message"),
    [
        ("/somewhere", "http://127.0.0.1:1", "'/somewhere' is no place in an S3 store"),
        (URI, "", "s3:// needs the environment variable GREAM_S3_ENDPOINT"),
    ],
)
def test_a_place_that_does_not_fit_is_said_before_the_start(tmp_path, monkeypatch, uri, endpoint, message):
    monkeypatch.setenv("GREAM_S3_ENDPOINT", endpoint)
    with pytest.raises(ConfigError, match=message):
        Pusher(tmp_path, uri, lambda: None)
