"""The benchmarks' commands: what is missing, or cannot be compared, is said in one sentence."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from benchmarks import validation
from gream.errors import ConfigError
from gream.evaluation.variants import parse_variant
from gream.indexing.collision_limit import AUDIT
from gream.policy.transition_prior import PriorWeights
from gream.stages.store import open_run

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "option"), [("faithfulness", "--run"), ("routing", "--run"), ("beam_agreement", "--policy")]
)
def test_a_run_that_is_not_there_ends_in_a_sentence(name, option, tmp_path):
    result = CliRunner().invoke(import_module(f"benchmarks.{name}").main, [option, str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "nowhere" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.fixture
def shop(tmp_path):
    """Ten users of six events each on ten items, and one of three: filtered by five, not by two."""
    folder = tmp_path / "shop"
    folder.mkdir()
    events = [f"u{user},i{(user + step) % 10},{1_000 + step}" for user in range(10) for step in range(6)]
    events += [f"late,i{step},{1_000 + step}" for step in range(3)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]))
    (folder / "items.csv").write_text("\n".join(["item_id,title", *(f"i{n},Lamp No. {n}" for n in range(10))]))
    return str(folder)


def asked(shop, tmp_path, *texts):
    variants = [parse_variant(text) for text in texts]
    contexts = [open_run("laptop", variant.overrides, 0, str(tmp_path / "workspace")) for variant in variants]
    return validation.asked_of_all(variants, contexts, shop, users=0)


def test_variants_of_the_same_users_are_asked_the_same(shop, tmp_path):
    found = asked(shop, tmp_path, "as it is:", "no texts: data.texts_removed=1.0", "three: index.levels=3")
    assert len(found.cases.users) == found.validation_users == 10


def test_a_variant_with_other_users_is_refused_before_it_trains(shop, tmp_path):
    with pytest.raises(ConfigError, match="variant 'all' has other users: only what keeps them can be compared"):
        asked(shop, tmp_path, "as it is:", "all: data.k_core=2")
    result = CliRunner().invoke(
        validation.main,
        ["--data", shop, "--workspace", f"{tmp_path}/workspace", "--variant", "a:", "--variant", "b: data.k_core=2"],
    )
    assert result.exit_code == 1
    assert [folder.name for folder in (tmp_path / "workspace").iterdir()] == ["ingest"]


@pytest.mark.parametrize(
    ("prior", "told"),
    [
        (PriorWeights(direct=2.0, reasoning=1.0), "the prior's weight is 2.0, chosen by 10 of all 10 validation users"),
        (None, "it has no prior"),
    ],
)
def test_who_chose_the_priors_weight_is_told(shop, tmp_path, monkeypatch, prior, told):
    policy = SimpleNamespace(
        facts=SimpleNamespace(prior=prior),
        index=SimpleNamespace(facts={AUDIT: {"collision_rate": 0.0}}),
        without_prior=lambda: None,
    )
    until = validation.run_until
    monkeypatch.setattr(validation, "run_until", lambda last, *rest: until("ingest", *rest))
    monkeypatch.setattr(validation, "Policy", SimpleNamespace(load=lambda folder: policy))
    monkeypatch.setattr(validation.Asked, "by_policy", lambda asked, *_: asked.by_transitions())
    result = CliRunner().invoke(
        validation.main, ["--data", shop, "--workspace", f"{tmp_path}/workspace", "--variant", "a:", "--users", "4"]
    )
    lines = result.stdout.splitlines()
    assert lines[0].startswith("4 users; ")
    assert lines[2] == f"a: 0.00% of the items collide, {told}"
