import numpy as np
import polars as pl
import pytest

from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.errors import ConfigError
from gream.evaluation.cold_start import TextKnn, first_buyers, hide_items

pytestmark = pytest.mark.unit

SEQUENCES = {"u": ["a", "b", "c"], "v": ["b", "d", "a", "d"], "w": ["d", "d"], "x": ["c", "d"]}


@pytest.fixture
def shop():
    events = [(user, item, time) for user, items in SEQUENCES.items() for time, item in enumerate(items)]
    items = [(item, item.upper(), "", "", []) for item in "abcd"]
    return Catalog(
        pl.DataFrame(events, schema=INTERACTION_SCHEMA, orient="row"),
        pl.DataFrame(items, schema=ITEM_SCHEMA, orient="row"),
        CatalogFacts(dataset="shop", exclude_seen=False, source="by hand"),
    )


def test_hidden_items_are_gone_with_their_events(shop):
    warm, hidden = hide_items(shop, 0.5, seed=1)
    (first, second) = hidden["item_id"].to_list()
    assert hidden.equals(shop.items.filter(pl.col("item_id").is_in([first, second])))
    assert warm.item_ids == [item for item in "abcd" if item not in (first, second)]
    left = {user: [item for item in items if item in warm.item_ids] for user, items in SEQUENCES.items()}
    assert warm.sequences() == {user: items for user, items in left.items() if items}


def test_the_seed_decides_what_is_hidden(shop):
    assert hide_items(shop, 0.5, seed=1)[1].equals(hide_items(shop, 0.5, seed=1)[1])
    assert len({tuple(hide_items(shop, 0.25, seed=seed)[1]["item_id"]) for seed in range(30)}) == 4


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 0), (1.0, 4), (-0.5, -2)])
def test_some_items_must_be_hidden_and_some_left(shop, share, count):
    with pytest.raises(ConfigError, match=f"share = {share} hides {count} of 4 items"):
        hide_items(shop, share, seed=0)


def test_first_buyers_are_those_whose_last_item_is_hidden(shop):
    cases = first_buyers(shop, ["d"])
    assert (cases.users, cases.histories, cases.targets) == (["v", "x"], [["b", "a"], ["c"]], ["d", "d"])


def test_neighbours_of_texts_by_hand():
    knn = TextKnn(np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [0.0, 0.0]]))
    half = 0.5**0.5
    # After 0, then 1: 1 counts fully, 0 counts .4.
    np.testing.assert_allclose(
        knn.score([[0, 1], [3]]), [[0.4, 1.0, half * 1.4, 0.0], [0.0, 0.0, 0.0, 0.0]], atol=1e-12
    )


def test_of_a_long_history_the_latest_items_count():
    knn = TextKnn(np.eye(2))
    np.testing.assert_allclose(knn.score([[0] * 20 + [1]])[0], [sum(0.4**age for age in range(1, 12)), 1.0])
