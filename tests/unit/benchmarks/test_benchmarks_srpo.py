"""SRPO beside TRL: what the peer is told."""

from types import SimpleNamespace

import polars as pl
import pytest
from tiny_policy import write_tiny_policy

from benchmarks import srpo
from gream.data.catalog import Catalog, CatalogFacts
from gream.policy.policy import Policy

pytestmark = pytest.mark.unit


@pytest.fixture
def policy(tmp_path):
    ids = write_tiny_policy(tmp_path / "policy", n_items=12)
    events = {"user_id": ["u"] * 4, "item_id": ids[:4], "timestamp": [1, 2, 3, 4]}
    facts = CatalogFacts(dataset="made-up", exclude_seen=True, source="a test")
    Catalog(pl.DataFrame(events), Policy.load(tmp_path / "policy").items, facts).save(tmp_path / "catalog")
    return tmp_path / "policy"


def test_the_peer_keeps_activations_as_ours_does_and_has_its_group_size_and_mini_batch(policy, monkeypatch):
    told = []

    def trainer(*, args, **_):
        told.append(args)
        return SimpleNamespace(train=lambda: None)

    monkeypatch.setattr(srpo, "GRPOTrainer", trainer)
    srpo.grpo_seconds(policy, steps=1)
    (arguments,), ours = told, srpo.settings(1)
    assert ours.gradient_checkpointing is False
    assert arguments.gradient_checkpointing is False
    assert (arguments.num_generations, arguments.per_device_train_batch_size) == (ours.group_size, ours.mini_batch)
