"""Reasons, worked out by hand from the codes in conftest."""

import pytest

from serving.api.catalogue import PolicyCatalogue
from serving.api.why import Explainer

pytestmark = pytest.mark.unit


@pytest.fixture
def explain(engine, bundle):
    catalogue = PolicyCatalogue.load(bundle, engine.version)

    def why(item_id, history):
        return Explainer(history, catalogue).explain(item_id, catalogue.tokens(item_id))

    return why


@pytest.mark.parametrize(
    ("item", "history", "because", "shared"),
    [
        ("m1", ["m0"], "m0", 2),  # (0, 0, 1) beside (0, 0, 0)
        ("m1", ["m3"], "m3", 1),  # beside (0, 1, 0)
        ("m1", ["m0", "m3"], "m0", 2),  # the longest, not the most recent
        ("m3", ["m0", "m1"], "m1", 1),  # of equals the most recent
        ("m3", ["m1", "m0"], "m0", 1),
        ("m4", ["m5"], "m5", 3),  # the ordinal is no level
        ("m1", ["m2"], None, 0),
        ("m1", [], None, 0),
        ("m1", ["m1", "m0"], "m1", 3),
        ("m1", ["unheard-of", "m3"], "m3", 1),
    ],
)
def test_the_history_item_that_shares_the_longest_beginning(explain, item, history, because, shared):
    why = explain(item, history)
    assert (why.because, why.shared_levels) == (because, shared)


@pytest.mark.parametrize(
    ("item", "history", "text"),
    [
        ("m1", ["m0"], "Much like Alien (1979) in the history (2 of 3 index levels are shared)."),
        ("m1", ["m3"], "Somewhat like Blade Runner (1982) in the history (1 of 3 index levels are shared)."),
        ("m4", ["m5"], "Very much like Titanic (1997) in the history (all 3 index levels are shared)."),
        ("m1", ["m2"], "Likely next after the history as a whole; no single item of it is alike."),
        ("m1", [], "Likely to be chosen by somebody of whom nothing is known."),
    ],
)
def test_the_words(explain, item, history, text):
    assert explain(item, history).text == text
