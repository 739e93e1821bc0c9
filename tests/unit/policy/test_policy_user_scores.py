import polars as pl
import pytest
from click.testing import CliRunner

from gream.cli import main
from gream.data.catalog import Catalog, CatalogFacts
from gream.policy import user_scores
from gream.policy.policy import Policy
from gream.policy.user_scores import SCHEMA, ScoringOptions, score_users

pytestmark = pytest.mark.unit

USERS = {"zoe": ["m0", "m3", "m1"], "ann": ["m7"], "bob": ["m9", "gone", "m2"], "eve": ["gone"], "tom": ["m4", "m5"]}


@pytest.fixture
def catalog(items, tmp_path):
    """The films and one more that the policy does not know."""
    rows = [(user, item, time) for user, seen in USERS.items() for time, item in enumerate(seen)]
    unknown = items[:1].with_columns(pl.lit("gone").alias("item_id"), pl.lit("Gone (2014)").alias("title"))
    facts = CatalogFacts(dataset="films", source="made up", exclude_seen=True)
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    Catalog(events, pl.concat([items, unknown]), facts).save(tmp_path / "catalog")
    return tmp_path / "catalog"


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(user_scores, "SLICE", 2)


@pytest.mark.parametrize("mode", ["direct", "reasoning"])
def test_every_user_gets_what_the_policy_recommends(bundle, policy, catalog, small_slices, tmp_path, mode):
    target = tmp_path / "out" / "scores.parquet"
    assert score_users(bundle, catalog, target, ScoringOptions(k=3, mode=mode, exclude_seen=True)) == 5
    table = pl.read_parquet(target)
    assert dict(table.schema) == SCHEMA
    expected = []
    for user, seen in USERS.items():
        known = [item for item in seen if item != "gone"]
        found = policy.recommend(known, k=3, mode=mode, exclude=known)
        expected += [(user, rank, item.item_id) for rank, item in enumerate(found, start=1)]
    assert table.drop("score").rows() == expected
    (best,) = policy.recommend(USERS["zoe"], 1, mode, USERS["zoe"])
    assert table["score"][0] == pytest.approx(best.score)
    assert list(target.parent.iterdir()) == [target]


def test_seen_items_may_come_back(bundle, policy, catalog, tmp_path):
    score_users(bundle, catalog, tmp_path / "kept.parquet", ScoringOptions(k=10, mode="direct", exclude_seen=False))
    table = pl.read_parquet(tmp_path / "kept.parquet")
    assert table.group_by("user_id").len()["len"].to_list() == [10] * 5


def test_a_killed_run_goes_on_where_it_was(bundle, catalog, small_slices, tmp_path, monkeypatch):
    target, options = tmp_path / "scores.parquet", ScoringOptions(k=2, mode="direct", exclude_seen=True)
    score_users(bundle, catalog, tmp_path / "whole.parquet", options)
    answered = []

    def answer(self, queries, mode):
        answered.append(len(queries))
        if len(answered) == 2:
            raise KeyboardInterrupt
        return original(self, queries, mode)

    original = Policy.answer
    monkeypatch.setattr(Policy, "answer", answer)
    with pytest.raises(KeyboardInterrupt):
        score_users(bundle, catalog, target, options)
    assert not target.exists()
    score_users(bundle, catalog, target, options)
    assert answered == [2, 2, 2, 1]  # The slice that was cut is done again, the one before is not.
    assert pl.read_parquet(target).equals(pl.read_parquet(tmp_path / "whole.parquet"))


def test_other_options_begin_anew(bundle, catalog, small_slices, tmp_path, monkeypatch):
    target = tmp_path / "scores.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(pl, "concat", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score_users(bundle, catalog, target, ScoringOptions(k=2, mode="direct", exclude_seen=True))
    assert len(list(tmp_path.glob(".scores.parquet.parts/*.parquet"))) == 3
    score_users(bundle, catalog, target, ScoringOptions(k=4, mode="direct", exclude_seen=True))
    assert pl.read_parquet(target)["rank"].max() == 4


def test_another_shops_catalog_is_refused_by_the_command(bundle, items, tmp_path):
    own = pl.concat([items[:1], *(items[:1].with_columns(item_id=pl.lit(f"own-{number}")) for number in range(10))])
    events = pl.DataFrame({"user_id": ["u"], "item_id": ["own-1"], "timestamp": [1]})
    Catalog(events, own, CatalogFacts(dataset="books", source="made up", exclude_seen=True)).save(tmp_path / "catalog")
    target = tmp_path / "scores.parquet"
    arguments = ["score", "--policy", bundle, "--catalog", tmp_path / "catalog", "--out", target]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert (result.exit_code, target.exists()) == (1, False)
    assert "trained on 'films' and knows 1 of the 11 items of catalog 'books': they are of different" in result.stderr


def test_the_command_follows_the_datasets_protocol(bundle, catalog, tmp_path):
    target = tmp_path / "scores.parquet"
    arguments = ["score", "--policy", str(bundle), "--catalog", str(catalog), "--out", str(target), "-k", "9"]
    output = CliRunner().invoke(main, arguments)
    assert output.stdout.splitlines()[-1] == f"5 users: {target}"
    zoe = pl.read_parquet(target).filter(user_id="zoe")
    assert zoe.height == 7  # Ten films, three of them seen.
    assert not set(zoe["item_id"]) & set(USERS["zoe"])
    CliRunner().invoke(main, [*arguments, "--seen-items", "keep"])
    assert pl.read_parquet(target).filter(user_id="zoe").height == 9
