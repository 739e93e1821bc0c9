from itertools import chain, combinations

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
    assert filters.outside(asked, new_only=False).nonzero()[0].tolist() == outside


@pytest.mark.parametrize(
    ("categories", "outside"), [((), [0, 1, 2]), (("books",), [0, 1, 2, 4]), (("new",), [0, 1, 2, 3, 4])]
)
def test_new_items_are_the_last_ones_in_any_category_that_is_asked_for(filters, categories, outside):
    assert filters.outside(categories, new_only=True).nonzero()[0].tolist() == outside


def test_of_a_policy_that_nobody_has_extended_no_item_is_new():
    filters = ItemFilters(pl.DataFrame({"categories": [[], []]}), added=0)
    assert filters.outside((), new_only=True).tolist() == [True, True]


@pytest.mark.parametrize("new_only", [False, True])
@pytest.mark.parametrize("categories", [(), ("books",), ("new", "strasse"), ("boats",), ("boats", "NEW", "Books")])
def test_an_item_is_left_where_one_is_neither_outside_nor_excluded(filters, categories, new_only):
    outside = set(filters.outside(categories, new_only).nonzero()[0].tolist())
    for excluded in chain.from_iterable(combinations(range(5), size) for size in range(6)):
        assert filters.leave(categories, new_only, set(excluded)) == (outside | set(excluded) != set(range(5)))


class Looked(set):
    """Excluded items that count how often somebody looks."""

    times = 0

    def __contains__(self, number):
        self.times += 1
        return super().__contains__(number)


@pytest.mark.parametrize(
    ("categories", "looks"), [(["x"], 0), ([], 3), (["a"], 3), (["b"] * 9, 1), (["A", "a"] * 9, 3)]
)
def test_whether_an_item_is_left_is_known_without_a_look_at_most_of_the_catalogue(categories, looks):
    filters = ItemFilters(pl.DataFrame({"categories": [["A", "a"]] * 50 + [["b"]] * 50}), added=0)
    excluded = Looked({0, 1})
    assert filters.leave(categories, False, excluded) is (categories != ["x"])
    assert excluded.times == looks


def test_whoever_leaves_out_more_changes_nobody_elses_filters(filters):
    filters.outside(("books",), new_only=False)[:] = True
    assert filters.outside(("books",), new_only=False).tolist() == [False, True, True, False, True]
