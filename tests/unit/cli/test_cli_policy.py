"""Commands that ask a policy, or make one: what they are told is what is done."""

import math
import re
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from tiny_policy import write_tiny_policy

from gream.cli import main
from gream.data.catalog import Catalog, CatalogFacts
from gream.policy.policy import Policy
from gream.stages.report import SUMMARY

pytestmark = pytest.mark.unit

SEEN = ("item-3", "item-7")
TITLES = [f"Thing No. {number}" for number in range(12)]
ROW = re.compile(r"^ +(\d+) +(-\d+\.\d{3}) +(\d+\.\d)%  (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "policy"
    write_tiny_policy(path, n_items=12)
    return path


@pytest.fixture(scope="module")
def policy(bundle):
    return Policy.load(bundle)


@pytest.fixture
def invoke():
    def invoke(*arguments):
        result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


@pytest.fixture
def recommend(invoke, bundle):
    """What is printed for somebody who has had item 3, told by its title, and item 7, told by its id."""
    history = ("--history", "thing no. 3", "--history", "item-7")
    return lambda *options: invoke("recommend", "--policy", bundle, *history, *options)


def test_the_history_comes_back_only_where_that_is_asked_for(recommend):
    others = [title for title in TITLES if title not in ("Thing No. 3", "Thing No. 7")]
    assert sorted(row[3] for row in ROW.findall(recommend("-k", 12))) == sorted(others)
    assert sorted(row[3] for row in ROW.findall(recommend("-k", 12, "--again"))) == sorted(TITLES)


@pytest.mark.parametrize("mode", ["direct", "reasoning"])
def test_the_three_best_are_those_of_the_policy_in_that_mode(recommend, policy, mode):
    printed = recommend("-k", 3, "--mode", mode)
    answer = policy.recommend(SEEN, k=3, mode=mode, exclude=SEEN)
    assert ROW.findall(printed) == [
        (str(rank), f"{item.score:.3f}", f"{100 * math.exp(item.score):.1f}", item.title)
        for rank, item in enumerate(answer, start=1)
    ]
    assert len(answer) == 3
    assert printed.startswith("rank " if mode == "direct" else f"Reasoning\n  {answer.readable_chain}\n\nrank ")


@pytest.mark.parametrize("mode", ["direct", "reasoning"])
def test_scores_are_those_of_the_mode_that_is_asked_for(invoke, bundle, policy, tmp_path, mode):
    events = pl.DataFrame({"user_id": ["ada", "ada"], "item_id": SEEN, "timestamp": [1, 2]})
    facts = CatalogFacts(dataset="shop", source="made up", exclude_seen=True)
    Catalog(events, policy.items, facts).save(tmp_path / "shop")
    out = tmp_path / "scores.parquet"
    invoke("score", "--policy", bundle, "--catalog", tmp_path / "shop", "--out", out, "-k", 3, "--mode", mode)
    answer = policy.recommend(SEEN, k=3, mode=mode, exclude=SEEN)
    table = pl.read_parquet(out)
    assert table["item_id"].to_list() == [item.item_id for item in answer]
    assert table["score"].to_list() == pytest.approx([item.score for item in answer], abs=1e-5)


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """The runs that are asked for, instead of running them: until which stage, and on what."""
    asked = []

    def run_until(last, source, seen_items, context):
        asked.append((last, source, seen_items, context.seed, Path(context.workspace)))
        (tmp_path / SUMMARY).write_text("| recall |\n")
        return tmp_path

    monkeypatch.setattr("gream.stages.chain.run_until", run_until)
    return asked


@pytest.mark.parametrize(
    ("command", "last"), [(("train", "sft"), "sft"), (("train", "srpo"), "srpo"), (("evaluate",), "report")]
)
def test_stages_run_as_far_as_the_command_needs_them(invoke, stages, tmp_path, command, last):
    workspace = tmp_path / "workspace"
    given = ("--data", "shop", "--seen-items", "keep", "--seed", 7, "--workspace", workspace)
    printed = invoke(*command, *given)
    assert stages == [(last, "shop", "keep", 7, workspace)]
    assert printed == ("| recall |\n\n" if last == "report" else f"{tmp_path}\n")
