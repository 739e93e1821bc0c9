import re
from xml.etree import ElementTree

import pytest

from gream.evaluation.examples import ExampleUser, Shown
from gream.evaluation.figures import Row, curve, interval_plot, running_mean, ticks
from gream.evaluation.metrics import Interval
from gream.evaluation.report import ReportData, render_report

pytestmark = pytest.mark.unit

HOSTILE = "<script>alert(1)</script>"
EXAMPLE = ExampleUser(
    user="u1",
    history=["Alien", "Blade Runner"],
    held_out="Contact",
    direct=[
        Shown(title=HOSTILE, probability=0.25, held_out=False),
        Shown(title="Contact", probability=0.125, held_out=True),
    ],
    reasoning=[Shown(title="Fargo", probability=0.5, held_out=False)],
    chain=["evidence: [Alien] space", "wants: quiet"],
)


def page(metrics, **changes):
    parts = {
        "metrics": metrics,
        "sft_log": [{"step": 10, "loss": 5.0}, {"step": 20, "loss": 4.0}, {"step": 20, "train_runtime": 3.0}],
        "srpo_log": [
            {"step": 1, "reward": 0.1, "rho": 0.2, "zero_variance_share": 0.5, "kl": 0.0, "entropy": 1.0},
            {"step": 2, "kl": 0.01},
        ],
        "examples": [EXAMPLE],
    }
    return render_report(ReportData(**(parts | changes)))


def test_the_page_needs_nothing_else(make_metrics):
    html = page(make_metrics())
    assert not re.search(r"""(?:src|href|@import|url\()""", html)
    assert "http" not in html
    assert "<script" not in html


def test_texts_of_the_shop_are_escaped(make_metrics):
    html = page(make_metrics(dataset=HOSTILE))
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3  # title, heading, the recommended item


def test_the_page_shows_every_part(make_metrics):
    html = page(make_metrics())
    for words in (
        "seed 7",
        "items of the history taken out of the ranking",
        "Direct and SASRec, Recall@10",
        "item transitions",
        "Pass@10",
        "direct minus its SFT start",
        "SFT loss",
        "SRPO: mean reward",
        "SRPO: KL to the SFT policy, of completions with an advantage",
        "SRPO: entropy of all sampled tokens",
        "Items with minimal metadata (31)",
        "6.00%",
        "1 min 30 s",
        "evidence: [Alien] space",
        "12.5% · held out",
        "found by direct",
    ):
        assert words in html, words
    assert "found by reasoning" not in html


@pytest.fixture
def caption(make_metrics):
    """The words beside the table of a section, where reasoning was measured on so many of 400 users."""

    def caption(section, reasoned):
        metrics = make_metrics()
        protocol = metrics.protocol.model_copy(update={"reasoning_users": reasoned})
        html = page(metrics.model_copy(update={"protocol": protocol}))
        return html.partition(f"<h2>{section}</h2>")[2].partition("</p>")[0]

    return caption


@pytest.mark.parametrize("section", ["Beside the baselines", "Paired differences"])
def test_tables_with_rows_of_reasoning_say_how_many_users_these_have(caption, section):
    assert "taken out; 400 users, 50 of them in rows of reasoning; 95% intervals." in caption(section, 50)
    assert "taken out; 400 users; 95% intervals." in caption(section, 400)
    assert "taken out; 400 users; 95% intervals." in caption(section, None)


def test_the_table_of_reasoning_names_its_own_users_or_none(caption):
    assert "taken out; 50 users; 95% intervals." in caption("Reasoning", 50)
    assert "taken out; 400 users; 95% intervals." in caption("Reasoning", 400)
    assert "taken out; 95% intervals." in caption("Reasoning", None)


def test_curves_that_were_not_logged_are_left_out(make_metrics):
    metrics = make_metrics()
    compared = {name: found for name, found in metrics.comparisons.items() if not name.endswith("_vs_sft")}
    html = page(metrics.model_copy(update={"comparisons": compared}), srpo_log=[])
    assert "SRPO did not run" in html
    assert "SFT only" not in html
    assert "SRPO: mean reward" not in html


def test_srpo_s_axis_counts_updates_since_a_step_of_its_settings_is_several(make_metrics):
    html = page(make_metrics())
    kl = html.partition("SRPO: KL to the SFT policy, of completions with an advantage</h3>")[2].partition("</svg>")[0]
    assert re.findall(r">(\w+ \d+)</text>", kl) == ["update 1", "update 2"]
    assert ">step 20</text>" in html.partition("SFT loss</h3>")[2].partition("</svg>")[0]


def test_a_history_of_three_digits_shows_all_of_them(make_metrics):
    """What scrolls is cut off at its edge: a digit takes up to .65 em, a full stop and the gap behind it .8."""
    (room,) = re.findall(r"\.history ol \{ padding-left: ([\d.]+)em; \}", page(make_metrics()))
    assert float(room) > 3 * 0.65 + 0.8


def test_a_failure_sign_stands_out(make_metrics):
    assert 'class="bad"' not in page(make_metrics(reasoning=120))
    assert 'class="bad"' in page(make_metrics(legal_item_share=0.5))


def test_a_chain_may_be_empty(make_metrics):
    html = page(make_metrics(), examples=[EXAMPLE.model_copy(update={"chain": []})])
    assert "The chain is empty." in html


def test_interval_plots_place_values_in_proportion():
    rows = [
        Row("ours", Interval(value=0.2, low=0.1, high=0.3), own=True),
        Row("<theirs>", Interval(value=0.1, low=0.0, high=0.2), own=False),
    ]
    tree = ElementTree.fromstring(interval_plot(rows, "Recall@10"))
    (ours, theirs) = [float(circle.get("cx")) for circle in tree.iter("circle")]
    (low, zero) = [float(group.find("line").get("x1")) for group in tree.iter("g")]
    assert ours - zero == pytest.approx(2 * (theirs - zero), abs=0.2)
    assert low == pytest.approx(theirs, abs=0.1)
    assert [group.get("class") for group in tree.iter("g")] == ["own", "other"]
    assert "<theirs>" in [text.text for text in tree.iter("text")]


def test_curves_run_from_corner_to_corner():
    tree = ElementTree.fromstring(curve([(10, 1.0), (20, 2.0), (30, 3.0)], "loss"))
    (line,) = list(tree.iter("polyline"))
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.2)
    assert points[0][1] > points[1][1] > points[2][1]
    assert [text.text for text in tree.iter("text")][-2:] == ["step 10", "step 30"]


@pytest.mark.parametrize("points", [[(1, 0.5)], [(1, 0.0), (2, 0.0)], [(0, -1e-9), (1, 1e-9)]])
def test_flat_and_single_point_curves_are_drawn(points):
    tree = ElementTree.fromstring(curve(points, "kl"))
    assert "nan" not in next(tree.iter("polyline")).get("points")


def test_long_curves_get_a_running_mean():
    tree = ElementTree.fromstring(curve([(step, float(step % 2)) for step in range(100)], "reward"))
    faint, smooth = tree.iter("polyline")
    assert (faint.get("class"), smooth.get("class")) == ("faint", "line")

    def spread(line):
        heights = [float(point.split(",")[1]) for point in line.get("points").split()]
        return max(heights) - min(heights)

    assert spread(smooth) < 0.5 * spread(faint)


def test_ticks_are_round_and_enclose():
    assert ticks(0.0, 0.27, 4) == [0.0, 0.1, 0.2, 0.3]
    assert ticks(-3.0, 12.0, 4) == [-5.0, 0.0, 5.0, 10.0, 15.0]
    assert running_mean([1.0]) == [1.0]
