"""The table of `make bench`: medians of rounds, what is told beside the committed ratios, and modules that fail."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from benchmarks import table
from benchmarks.ratio import NoComparisonError, Ratio
from benchmarks.table import load, render, save
from benchmarks.timing import in_turns

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


def test_in_turns_one_piece_of_work_follows_the_other():
    done = []
    seconds = in_turns(2, lambda: done.append("ours"), lambda: done.append("theirs"))
    assert done == ["ours", "theirs", "ours", "theirs"]
    assert [len(rounds) for rounds in seconds] == [2, 2]


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """`python -m benchmarks` on two modules of this test's and on one that is not installed; the committed table."""
    bench = import_module("benchmarks.__main__")
    modules = {
        "benchmarks.search": SimpleNamespace(ratios=lambda: [ratio("search", 2.0)]),
        "benchmarks.index": SimpleNamespace(ratios=lambda: [ratio("index", 3.0)]),
    }
    monkeypatch.setattr(bench, "import_module", lambda name: modules[name])
    monkeypatch.setattr(bench, "MODULES", ("search", "index"))
    monkeypatch.setattr(bench, "SERVED", tmp_path / "nowhere")
    monkeypatch.setattr(table, "COMMITTED", tmp_path / "table.json")
    return bench, modules


def test_what_was_measured_is_shown_and_kept(bench):
    result = CliRunner().invoke(bench[0].main, ["--keep"])
    assert result.exit_code == 0
    assert [one.name for one in load(table.COMMITTED)] == ["search", "index"]


@pytest.mark.parametrize(
    "error", [NoComparisonError("other items."), ModuleNotFoundError("No module named 'faiss'"), ValueError("odd")]
)
def test_a_module_that_fails_is_named_the_others_are_shown_and_nothing_is_kept(bench, error):
    def fail():
        raise error

    main, modules = bench
    modules["benchmarks.search"].ratios = fail
    result = CliRunner().invoke(main.main, ["--keep"])
    assert result.exit_code == 1
    assert "index    3.00" in result.stdout
    assert result.stdout.splitlines()[-1] == f"! not measured: search: {error}"
    assert not table.COMMITTED.exists()
