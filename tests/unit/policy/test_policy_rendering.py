import pytest

from gream.policy.rendering import render_chain

pytestmark = pytest.mark.unit

TITLES = {
    ("<|a_1|>", "<|b_2|>"): "Alien",
    ("<|a_1|>", "<|b_3|>", "<|e_1|>"): "Brazil",
    ("<|a_1|>", "<|b_3|>", "<|e_2|>"): "Solaris",
}


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("saw <|a_1|><|b_2|> twice", "saw [Alien] twice"),
        ("<|a_1|><|b_3|><|e_2|><|a_1|><|b_2|><|a_1|><|b_3|><|e_1|>", "[Solaris][Alien][Brazil]"),
        ("<|a_1|> <|b_2|>", "<|a_1|> <|b_2|>"),  # not adjacent: no item
        ("<|a_1|><|b_3|>.", "<|a_1|><|b_3|>."),  # an item's beginning
        ("<|b_2|><|a_1|><|b_2|>", "<|b_2|>[Alien]"),  # a stray token before an item
        ("no item at all", "no item at all"),
    ],
)
def test_complete_indices_become_titles(chain, expected):
    assert render_chain(chain, TITLES) == expected


def test_without_titles_nothing_changes():
    assert render_chain("<|a_1|>", {}) == "<|a_1|>"
