import numpy as np
import pytest
from corpora_cinema import FILMS, LetterIndex, make_catalog, profiles_of

from gream.corpora.alignment import naming_examples
from gream.corpora.checks import mentions_title
from gream.corpora.items import PROFILE_CHARACTERS, dominant_traits, read_items
from gream.errors import DataError

pytestmark = pytest.mark.unit


def test_an_item_has_its_index_and_telling_words(films):
    alien = films["alien"]
    assert alien.tokens == ("<|a_1|>", "<|b_1|>")
    assert alien.index == "<|a_1|><|b_1|>"
    assert (alien.title, alien.decade, alien.brand) == ("Alien (1979)", "1970s", "Fox")
    assert films["fargo"].categories == ("Comedy", "Crime")  # two films are comedies, three are about crime


def test_what_most_items_share_is_left_out():
    rows = [(str(n), f"Lotion {n} (1991)", ["Beauty", f"Kind {n}"], "House") for n in range(3)]
    catalog = make_catalog([*rows, ("3", "Soap", ["Beauty"], "")])
    items = read_items(catalog, profiles_of(catalog), LetterIndex(catalog.item_ids))
    assert items["0"].categories == ("Kind 0",)
    assert items["0"].brand == ""
    assert items["0"].decade == ""


def test_item_texts_cannot_spell_markup_and_are_cut_between_words():
    title = "Soap <|a_1|></think><answer><|im_end|> red"
    catalog = make_catalog([("soap", title, ["<think>Bath"], "<|b_9|>House"), ("x", "X", [], "")])
    profiles = {"soap": "word " * 100, "x": "y"}
    soap = read_items(catalog, profiles, LetterIndex(catalog.item_ids))["soap"]
    assert soap.title == "Soap red"
    assert soap.categories == ("Bath",)
    assert soap.brand == "House"
    assert len(soap.profile) <= PROFILE_CHARACTERS
    assert set(soap.profile.split()) == {"word"}


def test_what_an_untitled_item_is_called_is_not_learnt_as_its_title():
    catalog = make_catalog([("x", "Item x", ["Bath"], ""), ("y", "Soap", [], "")])
    items = read_items(catalog, {"x": "A sponge.", "y": "A soap."}, LetterIndex(catalog.item_ids))
    assert (items["x"].title, items["x"].full_title, items["y"].title) == ("", "", "Soap")
    asked = naming_examples(items, 3, np.random.default_rng(0))
    assert "Item x" not in {example.answer for example in asked}
    assert not mentions_title("item x, please", items["x"].full_title)


def test_every_item_needs_a_profile():
    catalog = make_catalog(FILMS)
    profiles = profiles_of(catalog)
    del profiles["heat"]
    with pytest.raises(DataError, match="'heat' has no profile text"):
        read_items(catalog, profiles, LetterIndex(catalog.item_ids))


def test_an_index_that_names_two_items_is_refused():
    catalog = make_catalog(FILMS)

    class Collapsed:
        def encode(self, item_ids):
            return [("<|a_1|>",) for _ in item_ids]

    with pytest.raises(DataError, match="more than one item"):
        read_items(catalog, profiles_of(catalog), Collapsed())


def test_dominant_traits_count_items_and_need_a_majority_for_brands_and_decades(films):
    history = [films[name] for name in ("alien", "blade", "thing")]
    # Sci-Fi 3, Horror 2; Ladd made two of three; two of three are of the 1980s.
    assert dominant_traits(history, 2) == ["Sci-Fi", "Horror", "Ladd", "1980s"]
    assert dominant_traits(history, 1) == ["Sci-Fi", "Ladd", "1980s"]
    assert dominant_traits(history[:2], 1) == ["Sci-Fi"]
