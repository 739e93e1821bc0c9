import polars as pl
import pytest

from serving.categories import CategoryIndex

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def index():
    return CategoryIndex(pl.DataFrame({"categories": [["Books", "New"], [], ["Straße"], ["books"], None]}))


@pytest.mark.parametrize(
    ("asked", "outside"),
    [
        ((), []),
        (("BOOKS",), [1, 2, 4]),
        (("strasse",), [0, 1, 3, 4]),
        (("new", "STRASSE"), [1, 3, 4]),
        (("boats",), [0, 1, 2, 3, 4]),
        (("boats", "books"), [1, 2, 4]),
    ],
)
def test_items_outside_all_categories(index, asked, outside):
    assert index.outside(asked).tolist() == outside
