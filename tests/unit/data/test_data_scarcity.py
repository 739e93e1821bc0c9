import polars as pl
import pytest

from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, OPTIONAL_INTERACTION_SCHEMA, Catalog, CatalogFacts
from gream.data.scarcity import remove_texts

pytestmark = pytest.mark.unit

ITEMS = [f"i{number}" for number in range(8)]


@pytest.fixture
def shop():
    events = [("u", item, time, 5.0, f"I like {item}") for time, item in enumerate(ITEMS)]
    items = [(item, item.upper(), f"about {item}", "Acme", ["Things", "Good"]) for item in ITEMS]
    return Catalog(
        pl.DataFrame(events, schema=INTERACTION_SCHEMA | OPTIONAL_INTERACTION_SCHEMA, orient="row"),
        pl.DataFrame(items, schema=ITEM_SCHEMA, orient="row"),
        CatalogFacts(dataset="shop", exclude_seen=False, source="by hand"),
    )


def bare(catalog):
    """Items without a description, which must then have nothing else but their title."""
    found = set()
    reviews = dict(catalog.interactions.select("item_id", "review").iter_rows())
    for item, title, *texts in catalog.items.iter_rows():
        assert title == item.upper()
        if texts == ["", "", []]:
            assert reviews[item] == ""
            found.add(item)
        else:
            assert texts == [f"about {item}", "Acme", ["Things", "Good"]]
            assert reviews[item] == f"I like {item}"
    return found


def test_a_share_of_the_items_keeps_its_title_alone(shop):
    some, more = bare(remove_texts(shop, 0.25, seed=3)), bare(remove_texts(shop, 0.5, seed=3))
    assert (len(some), len(more)) == (2, 4)
    assert some < more
    assert bare(remove_texts(shop, 1.0, seed=3)) == set(ITEMS)


def test_nothing_else_changes(shop):
    poorer = remove_texts(shop, 0.5, seed=0)
    assert poorer.sequences() == shop.sequences()
    assert poorer.interactions["rating"].equals(shop.interactions["rating"])
    assert poorer.item_ids == shop.item_ids


def test_the_seed_decides_whose_texts_go(shop):
    assert bare(remove_texts(shop, 0.5, seed=1)) == bare(remove_texts(shop, 0.5, seed=1))
    assert len({frozenset(bare(remove_texts(shop, 0.125, seed=seed))) for seed in range(40)}) > 4
