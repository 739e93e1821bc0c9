import pytest

from gream.errors import RequestError
from gream.policy.titles import resolve_titles

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("Alien (1979)", "m0"),
        ("  blade   RUNNER (1982)", "m1"),
        ("The Empire Strikes Back (1980)", "m2"),
        ("Empire Strikes Back, The (1980)", "m2"),
        ("AMÉLIE (2001)", "m3"),
        ("m4", "m4"),
    ],
)
def test_names_as_people_type_them(items, name, item):
    assert resolve_titles(items, [name]) == [item]


def test_a_title_of_two_items_asks_for_an_id(items):
    with pytest.raises(
        RequestError, match="'Titanic \\(1953\\)' is the title of 2 items; give one of their ids: m4, m5"
    ):
        resolve_titles(items, ["Titanic (1953)"])


def test_an_unknown_title_gets_the_nearest_names(items):
    with pytest.raises(RequestError) as caught:
        resolve_titles(items, ["Alien (1979)", "Blade Runer (1982)"])
    assert str(caught.value) == "no item is called 'Blade Runer (1982)'. The nearest titles are 'Blade Runner (1982)'."


def test_the_year_may_be_forgotten(items):
    with pytest.raises(RequestError, match=r"The nearest titles are 'Alien \(1979\)'"):
        resolve_titles(items, ["alien"])


def test_nothing_near_gives_no_hint(items):
    with pytest.raises(RequestError, match=r"^no item is called 'xyzzy'\.$"):
        resolve_titles(items, ["xyzzy"])
