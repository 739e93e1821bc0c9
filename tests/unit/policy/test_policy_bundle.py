import json

import pytest

from gream.artifacts import verify_artifact
from gream.errors import ArtifactError
from gream.policy.bundle import add_metrics, read_facts
from gream.policy.policy import Policy

pytestmark = pytest.mark.unit


def test_a_bundle_is_complete_and_self_contained(bundle):
    verify_artifact(bundle, "policy")
    names = {path.name for path in bundle.iterdir()}
    assert {
        "model.safetensors",
        "tokenizer.json",
        "semantic_index",
        "items.parquet",
        "policy.json",
        "README.md",
    } <= names
    facts = read_facts(bundle)
    assert (facts.dataset, facts.profile, facts.stage, facts.seed) == ("films", "laptop", "sft", 7)
    assert (facts.history_window, facts.reasoning_window, facts.beams, facts.max_chain_tokens) == (4, 3, 4, 24)
    assert facts.prompts["reasoning"]["think_close"] == "</think>"
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (manifest["dataset"], manifest["items"], manifest["prompts_version"]) == ("films", 10, 1)


def test_metrics_come_into_a_copy(bundle, tmp_path):
    add_metrics(bundle, tmp_path / "measured", {"recall@10": 0.25})
    verify_artifact(tmp_path / "measured", "policy")
    assert read_facts(tmp_path / "measured").metrics == {"recall@10": 0.25}
    assert '"recall@10": 0.25' in (tmp_path / "measured" / "README.md").read_text()
    assert read_facts(bundle).metrics == {}
    history = ["m0", "m1"]
    assert Policy.load(tmp_path / "measured").score_all(history) == Policy.load(bundle).score_all(history)


def test_it_loads_from_a_file_uri(bundle):
    assert Policy.load(bundle.as_uri()).facts == read_facts(bundle)


def test_what_is_no_bundle_is_refused(tmp_path, bundle):
    with pytest.raises(ArtifactError, match="is not a complete policy"):
        Policy.load(tmp_path)
    with pytest.raises(ArtifactError, match="holds a 'semantic_index', but a 'policy' is needed"):
        Policy.load(bundle / "semantic_index")
    with pytest.raises(ArtifactError, match="s3://models/policy: a policy is loaded from a folder or a file:// URI"):
        Policy.load("s3://models/policy")
