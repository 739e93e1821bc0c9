import polars as pl
import pytest

from serving.filters import ItemFilters

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def filters():
    """The last two of five items are new."""
    return ItemFilters(pl.DataFrame({"categories": [["Books", "New"], [], ["Straße"], ["books"], None]}), added=2)


@pytest.mark.parametrize(
    ("asked", "outside"),
    [
        ((), []),
        (("BOOKS",), [1, 2, 4]),
        (("strasse",), [0, 1, 3, 4]),
        (("new", "STRASSE"), [1, 3, 4]),
        (("boats",), [0, 1, 2, 3, 4]),
        (("boats", "books"), [1, 2, 4]),
        (("books", "BOOKS", "books"), [1, 2, 4]),
    ],
)
def test_items_outside_all_categories(filters, asked, outside):
    assert filters.outside(asked, new_only=False).tolist() == outside


@pytest.mark.parametrize(
    ("categories", "outside"), [((), [0, 1, 2]), (("books",), [0, 1, 2, 4]), (("new",), [0, 1, 2, 3, 4])]
)
def test_new_items_are_the_last_ones_in_any_category_that_is_asked_for(filters, categories, outside):
    assert filters.outside(categories, new_only=True).tolist() == outside


def test_of_a_policy_that_nobody_has_extended_no_item_is_new():
    assert ItemFilters(pl.DataFrame({"categories": [[], []]}), added=0).outside((), new_only=True).tolist() == [0, 1]
