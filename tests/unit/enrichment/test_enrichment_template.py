import pytest

from gream.enrichment.item_text import ItemText
from gream.enrichment.template import template_profile

pytestmark = pytest.mark.unit


def test_every_known_field_has_its_sentence_in_a_fixed_order():
    item = ItemText("Lip Balm", "Acme", ("Beauty", "Lips"), "Soft. With honey", ("Lovely", "Too sweet!"))
    assert template_profile(item) == (
        "Lip Balm. Brand: Acme. Categories: Beauty, Lips. Soft. With honey. Reviews: Lovely. Too sweet!"
    )


def test_unknown_fields_are_left_out():
    assert template_profile(ItemText("Mars Attacks!")) == "Mars Attacks!"
    assert template_profile(ItemText("", categories=("Comedy",))) == "An item without a title. Categories: Comedy."


def test_braces_in_a_text_are_text():
    assert template_profile(ItemText("{title} {0}", brand="{brand}")) == "{title} {0}. Brand: {brand}."
