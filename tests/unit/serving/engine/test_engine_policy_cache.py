"""The copies of policies that an engine keeps on its disk."""

import pytest
from keeper_shop import Shop

pytestmark = pytest.mark.unit


def test_the_cache_holds_the_served_policy_and_the_one_before(shop):
    for words in ("one", "two", "three", "four"):
        shop.publish(words)
        shop.keeper.look()
    assert shop.cached() == ["four", "three"]


def test_the_cache_does_not_grow_with_restarts_and_failures(shop, tmp_path):
    for words in ("one", "broken", "two", "broken again", "silent"):
        shop.publish(words)
        shop.keeper.look()
    shop.publish("three")
    restarted = Shop(tmp_path)
    restarted.keeper.look()
    assert shop.cached() == ["three"]
    shop.publish("broken")
    restarted.keeper.look()
    shop.publish("four")
    restarted.keeper.look()
    assert shop.cached() == ["four", "three"]


def test_a_policy_whose_copy_was_damaged_is_served_from_a_new_one(shop, tmp_path):
    version = shop.publish("one")
    shop.keeper.look()
    weights = shop.keeper.served.bundle / "weights"
    weights.unlink()
    weights.write_text("0ne")
    restarted = Shop(tmp_path)
    restarted.keeper.look()
    assert restarted.keeper.served.engine.policy_version == version
    assert restarted.engines[0].words == "one"
