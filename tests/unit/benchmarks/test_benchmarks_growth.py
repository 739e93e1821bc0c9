"""Growth: exponents of known curves, the table, the figure, and one stage measured for real on a tiny shop."""

from xml.etree import ElementTree

import polars as pl
import pytest

from benchmarks.growth_figure import draw
from benchmarks.growth_plan import carried_on
from benchmarks.growth_points import Point, growths, table
from benchmarks.growth_stages import LARGEST, MADE_UP, STAGES, measure
from benchmarks.simulated_shop import write_shop

pytestmark = pytest.mark.unit

POINTS = [
    *(Point("square", size, seconds=3e-6 * size**2, mib=5.0 + size / 2**20) for size in (1_000, 10_000, 100_000)),
    *(Point("flat", size, seconds=0.5, mib=0.0) for size in (1_000, 10_000)),
]


def test_exponents_and_bytes_are_those_of_the_curves():
    square, flat = growths(POINTS)
    assert square.exponents("seconds") == pytest.approx((2.0, 2.0))
    assert square.bytes_an_item == pytest.approx(1.0)
    assert flat.exponents("seconds") == pytest.approx((0.0, 0.0))
    assert flat.exponents("mib") == pytest.approx((0.0, 0.0))


def test_the_last_exponent_is_that_of_the_two_largest_sizes():
    bent = [Point("bent", size, seconds, 1.0) for size, seconds in ((100_000, 100.0), (1_000, 1.0), (10_000, 1.0))]
    last, whole = growths(bent)[0].exponents("seconds")
    assert (last, whole) == pytest.approx((2.0, 1.0))


def test_the_plan_carries_time_on_by_its_exponent_and_memory_by_the_bytes_of_one_more():
    points = [Point("import", size, seconds=size / 1e6 * 36, mib=size / 1_024) for size in (100_000, 1_000_000)]
    assert carried_on(growths(points)[0]) == pytest.approx((10**8, 1.0, 10**8 / 2**20))
    trie = [Point("trie", size, seconds=36.0, mib=1_024.0) for size in (100_000, 1_000_000)]
    assert carried_on(growths(trie)[0]) == pytest.approx((10**7, 0.1, 1.0))


def test_table_has_a_line_for_each_stage_and_quantity():
    lines = table(POINTS).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["square", "seconds"],
        ["square", "mib"],
        ["flat", "seconds"],
        ["flat", "mib"],
    ]
    assert lines[1].split()[-2:] == ["2.00", "2.00"]
    assert len(table(POINTS[:1]).splitlines()) == 3


def test_figure_is_well_formed_and_names_every_stage_in_both_panels_with_the_exponent_that_fits_it():
    figure = ElementTree.fromstring(draw([*POINTS, Point("a < b", 1_000, 1.0, 1.0)]))
    texts = [element.text for element in figure.iter() if element.tag.endswith("text")]
    assert [text for text in texts if text.startswith("square")] == ["square 2.00", "square 0.00"]
    assert texts.count("flat 0.00") == 2
    assert texts.count("a < b") == 2, "one point has no exponent"


def test_a_shop_depends_on_its_size_alone(tmp_path):
    for name in ("once", "again"):
        write_shop(tmp_path / name, 60)
    for table_name in ("interactions", "items"):
        once, again = (pl.read_parquet(tmp_path / name / f"{table_name}.parquet") for name in ("once", "again"))
        assert once.equals(again)
    assert once.height == 60


def test_stages_find_what_those_before_them_left(tmp_path):
    home = tmp_path / "200"
    for stage in ("shop", "import", "enrichment", "codes", "corpora"):
        measured = measure(stage, home, home)
        assert measured["seconds"] > 0
        assert measured["mib"] >= 0
    assert (home / "corpus" / "manifest.json").is_file()


def test_limits_name_stages():
    assert set(LARGEST) < set(STAGES)
    assert set(MADE_UP) < set(STAGES)
