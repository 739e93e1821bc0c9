"""The evaluation measures a policy on its shop: on the same users under every seed, and on this shop's items alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_policy import write_tiny_policy

from gream.data.catalog import Catalog, CatalogFacts
from gream.errors import ArtifactError
from gream.evaluation.results import Metrics
from gream.indexing.audit import audit_collisions
from gream.indexing.collision_limit import with_audit
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX
from gream.policy.policy import Policy
from gream.stages import evaluate
from gream.stages.store import STAGE_FILE, open_run

pytestmark = pytest.mark.unit

USERS = 12
QUICK = [
    *("evaluation.beams=10", "evaluation.chains=1", "evaluation.max_chain_tokens=8", "evaluation.reasoning_users=3"),
    *("evaluation.sasrec_epochs=0", "evaluation.bootstrap_resamples=20", "evaluation.max_users=5"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return audited_policy(tmp_path_factory.mktemp("policy") / "policy", seed=0)


def audited_policy(path: Path, seed: int) -> Path:
    write_tiny_policy(path, seed, with_prior=True)
    index = SemanticIndex.load(path / INDEX)
    shutil.rmtree(path / INDEX)
    codes = np.arange(len(index.item_ids))[:, None]
    audit = audit_collisions(codes, codes, np.zeros(len(codes), dtype=bool), (len(codes),))
    with_audit(index, audit).save(path / INDEX)
    (path / STAGE_FILE).write_text(json.dumps({"notes": {"log": []}, "seconds": {"srpo": 1.0}}))
    return path


@pytest.fixture(scope="module")
def shop(bundle) -> Catalog:
    """Everybody goes on along the items of the policy, from a place of one's own."""
    items = Policy.load(bundle).items
    events = [(f"u{user}", items["item_id"][user * 2 + step], step) for user in range(USERS) for step in range(6)]
    schema = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}
    facts = CatalogFacts(dataset="made-up", source="made up", exclude_seen=False)
    return Catalog(pl.DataFrame(events, schema=schema, orient="row"), items, facts)


def evaluated(
    shop: Catalog, bundle: Path, home: Path, seed: int = 0, more: tuple[str, ...] = (), start: Path | None = None
) -> Path:
    shop.save(home / "catalog")
    context = open_run("laptop", [*QUICK, *more], seed, str(home / "workspace"))
    return evaluate.run(home / "catalog", start or bundle, bundle, context)


def test_every_seed_measures_the_same_users(shop, bundle, tmp_path):
    found = [evaluated(shop, bundle, tmp_path / str(seed), seed) for seed in (0, 1)]
    users = [pl.read_parquet(folder / evaluate.USERS) for folder in found]
    assert users[0].height > 0
    assert users[0]["user_id"].to_list() == users[1]["user_id"].to_list()
    protocol = Metrics.load(found[0] / evaluate.METRICS).protocol
    reasoned = users[0]["reasoning/recall@10"].is_not_nan().sum()
    assert (protocol.users, protocol.reasoning_users) == (5, 3) == (users[0].height, reasoned)


def test_each_row_is_of_the_policy_that_it_names(shop, bundle, tmp_path):
    """As that policy, asked alone, finds the last item of each user among ten."""
    start = audited_policy(tmp_path / "start", seed=1)
    everybody = ("evaluation.max_users=0", "evaluation.reasoning_users=0")
    folder = evaluated(shop, bundle, tmp_path, more=everybody, start=start)
    users = pl.read_parquet(folder / evaluate.USERS)
    sequences = [shop.sequences()[user] for user in users["user_id"]]

    def alone(policy: Policy, mode: str) -> list[float]:
        lists = policy.recommend_batch([items[:-1] for items in sequences], 10, mode)
        return [
            float(items[-1] in {item.item_id for item in found}) for items, found in zip(sequences, lists, strict=True)
        ]

    policy, before = Policy.load(bundle), Policy.load(start)
    expected = {
        "direct": alone(policy, "direct"),
        "reasoning": alone(policy, "reasoning"),
        "sft_direct": alone(before, "direct"),
        "sft_reasoning": alone(before, "reasoning"),
        "without_prior": alone(policy.without_prior(), "direct"),
    }
    assert {system: users[f"{system}/recall@10"].to_list() for system in expected} == expected
    assert len(set(map(tuple, expected.values()))) == len(expected)  # Or rows could be taken for each other.


def test_a_killed_evaluation_goes_on_with_what_is_not_measured_yet(shop, bundle, tmp_path, monkeypatch, capsys):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(evaluate.measured, "without_prior", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluated(shop, bundle, tmp_path)
    capsys.readouterr()
    evaluated(shop, bundle, tmp_path)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[7/8 evaluate]")]
    assert [line.removeprefix("[7/8 evaluate] ") for line in said[:4]] == [
        "baselines: done already, reused",
        "SFT: done already, reused",
        "SRPO: done already, reused",
        "without prior: started",
    ]


def test_other_baselines_leave_the_policies_measured(shop, bundle, tmp_path, capsys):
    """As do other resamples: neither is anything that a policy is asked."""
    evaluated(shop, bundle, tmp_path)
    capsys.readouterr()
    evaluated(shop, bundle, tmp_path, more=("evaluation.sasrec_epochs=1", "evaluation.bootstrap_resamples=30"))
    said = capsys.readouterr().err
    assert "baselines: started" in said
    assert all(f"{part}: done already, reused" in said for part in ("SFT", "SRPO", "without prior"))


def test_without_reinforcement_there_is_one_policy_to_measure_and_none_to_compare_it_with(
    shop, bundle, tmp_path, capsys
):
    folder = evaluated(shop, bundle, tmp_path, more=("srpo.steps=0",))
    said = capsys.readouterr().err
    assert "SFT: started" in said
    assert "SRPO:" not in said
    metrics = json.loads((folder / evaluate.METRICS).read_text())
    assert metrics["direct"] == metrics["sft"]["direct"]
    assert set(metrics["comparisons"]) >= {"reasoning_vs_direct", "direct_vs_without_prior"}
    assert not {"direct_vs_sft", "reasoning_vs_sft"} & set(metrics["comparisons"])


def test_what_the_shop_has_not_is_not_legal(shop, bundle, tmp_path):
    sold = shop.items.head(USERS * 2 + 6)
    legal = json.loads((evaluated(shop, bundle, tmp_path / "all") / evaluate.METRICS).read_text())
    some = json.loads((evaluated(replace(shop, items=sold), bundle, tmp_path / "some") / evaluate.METRICS).read_text())
    assert legal["legal_item_share"] == 1.0
    assert some["legal_item_share"] < 1.0


def test_another_shops_policy_is_refused(shop, bundle, tmp_path):
    new = shop.items.head(1).with_columns(pl.lit("only-here").alias("item_id"))
    wider = replace(shop, items=pl.concat([shop.items, new]))
    with pytest.raises(ArtifactError, match=r"has no item 'only-here' of made-up: it is another shop's policy"):
        evaluated(wider, bundle, tmp_path)
