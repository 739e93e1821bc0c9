import logging
import threading
import time

import pytest

from gream.artifacts import atomic_folder, content_digest
from serving.contracts import EngineAnswer, RankedItem
from serving.engine import policy_keeper
from serving.engine.metrics import EngineMetrics
from serving.engine.policy_keeper import NoPolicyError, PolicyKeeper
from serving.engine.policy_source import PolicySource

pytestmark = pytest.mark.unit

ITEM = RankedItem(item_id="i", title="I", score=-1.0, tokens=("<|a_1|>",))


class Engine:
    """Answers with one item; the words of its bundle make it fail to load or recommend nothing."""

    def __init__(self, bundle, version):
        self.words = (bundle / "weights").read_text()
        if self.words.startswith("broken"):
            raise ValueError("no such layer")
        self.policy_version = version
        self.alive = True
        self.closed = 0
        self.used_late = False

    def recommend(self, requests, listener=None):
        self.used_late |= self.closed > 0
        items = () if self.words.startswith("silent") else (ITEM,)
        return [
            EngineAnswer(items=items, policy_version=self.policy_version, batch_size=1, engine_seconds=0.0)
            for _ in requests
        ]

    def close(self):
        self.closed += 1


class Shop:
    """A keeper over a folder, and every engine that it made."""

    def __init__(self, tmp_path):
        self.folder = tmp_path / "policy"
        self.cache = tmp_path / "cache"
        self.engines = []
        self.metrics = EngineMetrics("transformers")
        source = PolicySource(str(self.folder), self.cache)
        self.keeper = PolicyKeeper(source, self.load, poll_seconds=0.05, metrics=self.metrics)

    def load(self, bundle, version):
        self.engines.append(Engine(bundle, version))
        return self.engines[-1]

    def publish(self, words):
        with atomic_folder(self.folder, "policy") as staging:
            (staging / "weights").write_text(words)
        return content_digest(self.folder)[:12]

    def count(self, name):
        return self.metrics.swaps.collect()[0].samples[0].value if name == "swaps" else self._failed()

    def _failed(self):
        return self.metrics.failed_swaps.collect()[0].samples[0].value


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_nothing_is_served_before_a_policy_is_there(shop):
    shop.keeper.look()
    assert shop.keeper.served is None
    with pytest.raises(NoPolicyError), shop.keeper.engine():
        pass
    version = shop.publish("one")
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == version


def test_a_new_policy_takes_over_after_the_batch_that_is_under_way(shop):
    first = shop.publish("one")
    shop.keeper.look()
    second = shop.publish("two")
    with shop.keeper.engine() as old:
        shop.keeper.look()
        assert (old.policy_version, old.closed) == (first, 0)
        with shop.keeper.engine() as new:
            assert new.policy_version == second
    assert [engine.closed for engine in shop.engines] == [1, 0]
    assert shop.count("swaps") == 1


def test_the_same_policy_is_not_loaded_again(shop):
    shop.publish("one")
    shop.keeper.look()
    shop.publish("one")
    shop.keeper.look()
    assert len(shop.engines) == 1


@pytest.mark.parametrize("words", ["broken", "silent"])
def test_a_broken_policy_leaves_the_old_one_serving(shop, words, caplog):
    first = shop.publish("one")
    shop.keeper.look()
    broken = shop.publish(words)
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == first
    assert shop.count("failed") == 1
    assert f"policy {broken} cannot be loaded, policy {first} goes on serving" in caplog.text
    assert [engine.closed for engine in shop.engines] == ([0, 1] if words == "silent" else [0])
    third = shop.publish("three")
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == third


def test_a_damaged_policy_leaves_the_old_one_serving(shop):
    first = shop.publish("one")
    shop.keeper.look()
    shop.publish("two")
    (shop.folder / "weights").write_text("tw0")
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == first
    assert shop.count("failed") == 1


def test_a_failed_policy_is_tried_again_after_longer_and_longer_pauses(shop, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(policy_keeper.time, "monotonic", lambda: now[0])
    shop.publish("broken")
    attempts = []
    for now[0] in (0.0, 0.05, 0.11, 0.2, 0.3, 0.32, 0.6, 0.8):
        shop.keeper.look()
        attempts.append(shop.count("failed"))
    # Pauses of 2, 4, 8 times the 0.05 s between looks: attempts at 0, 0.11, 0.32 and 0.8.
    assert attempts == [1, 1, 2, 2, 2, 3, 3, 4]


def test_an_unreadable_source_is_no_failed_policy_and_logged_once(shop, caplog):
    caplog.set_level(logging.INFO, "gream.engine")
    shop.publish("one")
    shop.keeper.look()
    manifest = (shop.folder / "manifest.json").read_text()
    (shop.folder / "manifest.json").unlink()
    shop.keeper.look()
    shop.keeper.look()
    assert shop.keeper.served is not None
    assert shop.count("failed") == 0
    assert caplog.text.count("the policy's source cannot be read") == 1
    (shop.folder / "manifest.json").write_text(manifest)
    shop.keeper.look()
    assert "can be read again" in caplog.text


def test_a_dead_engine_is_built_anew(shop):
    shop.publish("one")
    shop.keeper.look()
    shop.engines[0].alive = False
    assert shop.keeper.served is None
    with pytest.raises(NoPolicyError), shop.keeper.engine():
        pass
    shop.keeper.look()
    assert shop.keeper.served.engine is shop.engines[1]
    assert shop.engines[0].closed == 1


def test_the_cache_holds_the_served_policy_and_the_one_before(shop):
    for words in ("one", "two", "three", "four"):
        shop.publish(words)
        shop.keeper.look()
    assert sorted((bundle / "weights").read_text() for bundle in shop.cache.iterdir()) == ["four", "three"]


def test_batches_from_many_threads_survive_many_swaps(shop):
    shop.publish("policy 0")
    shop.keeper.start()
    deadline = time.monotonic() + 30
    while shop.keeper.served is None and time.monotonic() < deadline:
        time.sleep(0.01)
    stop, failures = threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                with shop.keeper.engine() as engine:
                    engine.recommend([None])
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        version = shop.publish(f"policy {number}")
        while shop.keeper.served.engine.policy_version != version and time.monotonic() < deadline:
            time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    shop.keeper.stop()
    assert failures == []
    assert shop.count("swaps") == 5
    assert [engine.closed for engine in shop.engines] == [1] * 6
    assert not any(engine.used_late for engine in shop.engines)
