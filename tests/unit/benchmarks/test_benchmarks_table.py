"""The table of `make bench`: medians of rounds, and what is told beside the committed ratios."""

import pytest

from benchmarks.ratio import Ratio
from benchmarks.table import load, render, save

pytestmark = pytest.mark.unit


def ratio(name, value):
    return Ratio(name, value, value - 0.5, value + 0.5, f"about {name}")


def test_a_ratio_is_the_median_of_its_rounds():
    made = Ratio.of_rounds("a", ours=[1.0, 2.0, 0.5], peers=[3.0, 8.0, 1.0], detail="in words")
    assert made == Ratio("a", 3.0, 2.0, 4.0, "in words")


def test_rounds_belong_together():
    with pytest.raises(ValueError, match="zip"):
        Ratio.of_rounds("a", ours=[1.0], peers=[3.0, 8.0], detail="")


@pytest.mark.parametrize(("now", "told"), [(8.0, False), (8.1, False), (7.9, True), (12.0, False)])
def test_a_loss_of_more_than_a_fifth_is_told(now, told):
    text = render([ratio("search", now)], [ratio("search", 10.0)])
    assert (f"! search: {now:.2f}, more than 20% below 10.00." in text) is told
    assert text.splitlines()[1].split() == [
        "search",
        f"{now:.2f}",
        f"{now - 0.5:.2f}",
        "to",
        f"{now + 0.5:.2f}",
        "10.00",
    ]


def test_new_lines_and_missing_ones_are_told():
    text = render([ratio("search", 2.0)], [ratio("index", 3.0)])
    assert text.splitlines()[1].split()[-1] == "new"
    assert text.splitlines()[-1] == "! index is in the committed table and was not measured."


def test_the_table_is_kept_with_two_decimals(tmp_path):
    save(tmp_path / "table.json", [Ratio("a", 2.3456, 1.0, 3.999, "in words")])
    assert load(tmp_path / "table.json") == [Ratio("a", 2.35, 1.0, 4.0, "in words")]
