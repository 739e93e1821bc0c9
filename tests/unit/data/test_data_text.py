import pytest

from gream.data.text import clean_text, field_text, flatten_paths, whole_id
from gream.errors import DataError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Dead&nbsp;Sea<br/>Salt", "Dead Sea Salt"),
        ("&lt;p class='x'&gt;Mild&lt;/p&gt; soap", "Mild soap"),
        ("pH < 6 and > 4, I <3 it", "pH < 6 and > 4, I <3 it"),
        ("a<script>alert('x < y')</script>b<!-- c -->d<STYLE>\n.x{}</STYLE>", "a b d"),
        ("a<script>b<!-- </script>c --> d <!-- e", "a c --> d <!-- e"),
        ("<script>a<style>b</style>c", "a c"),
        ("a<scripted>b</scripted>c<!-->d", "a b c<!-->d"),
        ("  two\n\tlines\u00a0here ", "two lines here"),
        ("cut \ud83d", "cut \ufffd"),
        ("L&#39;Or&eacute;al &amp; Co", "L'Oréal & Co"),
    ],
)
def test_markup_goes_and_words_stay(raw, plain):
    assert clean_text(raw) == plain


def test_openings_that_are_never_closed_are_read_once():
    text = "<!-- <script> <style> " * 50_000  # Read once for each of them it would take an hour.
    assert clean_text(text) == " ".join(["<!--"] * 50_000)


def test_fields_of_dumps_may_be_lists_or_missing():
    assert field_text(["One.", "<b>Two</b>."]) == "One. Two ."
    assert field_text(None) == ""
    assert field_text(7) == "7"


@pytest.mark.parametrize(
    ("categories", "names"),
    [
        ([["Beauty", "Hair"], ["Beauty", "Gifts"]], ["Beauty", "Hair", "Gifts"]),
        (["Beauty", "Hair &amp; Nails", ""], ["Beauty", "Hair & Nails"]),
        ("Office, Paper,Office", ["Office", "Paper"]),
        ([], []),
        (None, []),
    ],
)
def test_categories_become_distinct_names_in_order(categories, names):
    assert flatten_paths(categories) == names


def test_categories_of_another_type_are_refused():
    with pytest.raises(TypeError, match="categories are dict"):
        flatten_paths({"Beauty": 1})


def test_ids_are_texts_or_whole_numbers():
    assert [whole_id(value, "row 1") for value in ("007", 7, 0)] == ["007", "7", "0"]


@pytest.mark.parametrize("value", [None, "", True, 7.0, ["7"]])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(DataError, match=r"^row 1 is .*; a text that is not empty or a whole number is needed\.$"):
        whole_id(value, "row 1")
