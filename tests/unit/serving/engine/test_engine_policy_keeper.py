import logging
import threading
import time

import pytest

from serving.engine import policy_keeper
from serving.engine.policy_keeper import NoPolicyError

pytestmark = pytest.mark.unit


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
    assert [engine.closed for engine in shop.engines] == [0, 0]  # No answer waits for that.
    shop.keeper.look()
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
    why = "no such layer" if words == "broken" else "the policy recommends nothing."
    assert f"policy {broken} cannot be loaded ({why}), policy {first} goes on serving" in caplog.text
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


def test_a_policy_that_fails_for_weeks_is_tried_again_after_the_longest_pause(shop, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(policy_keeper.time, "monotonic", lambda: now[0])
    shop.publish("broken")
    for attempt in range(1_100):
        now[0] = policy_keeper.LONGEST_PAUSE * attempt
        shop.keeper.look()
    assert shop.count("failed") == 1_100


def test_an_engine_that_does_not_close_is_told_and_keeps_nobody_from_the_next_policy(shop, monkeypatch, caplog):
    first = shop.publish("one")
    shop.keeper.look()
    monkeypatch.setattr(shop.engines[0], "close", lambda: 1 / 0)
    second = shop.publish("two")
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == second
    assert f"policy {first} does not close (division by zero)" in caplog.text
    assert shop.count("failed") == 0


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


@pytest.mark.parametrize("written", ["", '{"kind": "policy", "files": {"wei', '{"kind": "policy"}'])
def test_a_manifest_that_is_being_written_is_waited_for(shop, caplog, written):
    first = shop.publish("one")
    shop.keeper.look()
    second = shop.publish("two")
    whole = (shop.folder / "manifest.json").read_text()
    (shop.folder / "manifest.json").write_text(written)
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == first
    assert "the policy's source cannot be read" in caplog.text
    (shop.folder / "manifest.json").write_text(whole)
    shop.keeper.look()
    assert shop.keeper.served.engine.policy_version == second


def test_the_keeper_outlives_every_accident(shop, caplog, wait):
    version = shop.publish("one")
    honest, accidents = shop.source.digest, []

    def digest():
        if len(accidents) < 3:
            accidents.append(1)
            raise ZeroDivisionError
        return honest()

    shop.source.digest = digest
    shop.keeper.start()
    wait(lambda: shop.keeper.served is not None)
    shop.keeper.stop()
    assert shop.engines[0].policy_version == version
    told = [record for record in caplog.records if "broke off (ZeroDivisionError)" in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"] * 3


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


def test_of_a_dead_engine_it_is_not_said_that_it_goes_on(shop, caplog):
    version = shop.publish("one")
    shop.keeper.look()
    shop.engines[0].alive = False
    shop.publish("broken")
    shop.keeper.look()
    assert "cannot be loaded (no such layer), nothing is served; next attempt" in caplog.text
    assert f"policy {version} goes on serving" not in caplog.text


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
