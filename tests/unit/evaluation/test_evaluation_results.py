import json

import numpy as np
import pytest

from gream.errors import ArtifactError, ConfigError
from gream.evaluation.results import Metrics
from gream.evaluation.user_values import UserValues

pytestmark = pytest.mark.unit


def test_the_file_has_the_published_shape(make_metrics, tmp_path):
    path = tmp_path / "metrics.json"
    make_metrics().save(path)
    content = json.loads(path.read_text())
    assert content["direct"]["recall@10"]["value"] == 0.3
    assert set(content["direct"]["recall@10"]) == {"value", "low", "high"}
    assert set(content["reasoning"]) >= {"pass@1", "pass@5", "pass@10"}
    assert set(content["sft"]) == {"direct", "reasoning"}
    assert set(content["baselines"]) == {"popularity", "item_knn", "transitions", "sasrec"}
    assert content["index"]["collision_rate"] == 0.02
    assert content["seconds"] == {"ingest": 2.0, "sft": 90.0}
    assert (content["dataset"], content["profile"], content["seed"], content["legal_item_share"]) == (
        "films",
        "laptop",
        7,
        1.0,
    )


def test_what_was_saved_is_loaded(make_metrics, tmp_path):
    metrics = make_metrics(index={"collision_rate": 0.1, "levels": [{"size": 8}]})
    metrics.save(tmp_path / "metrics.json")
    assert Metrics.load(tmp_path / "metrics.json") == metrics


def test_a_file_of_before_reasoning_s_users_were_noted_is_loaded(make_metrics, tmp_path):
    content = make_metrics().model_dump()
    del content["protocol"]["reasoning_users"]
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    assert Metrics.load(tmp_path / "metrics.json").protocol.reasoning_users is None


@pytest.mark.parametrize(
    ("content", "why"), [("{", "Expecting property name"), ('{"dataset": "x"}', "profile: Field required"), ("[]", "")]
)
def test_other_files_are_refused_with_the_first_fault(tmp_path, content, why):
    path = tmp_path / "metrics.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=rf"metrics\.json is not a metrics file.*{why}"):
        Metrics.load(path)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match="run the evaluation first"):
        Metrics.load(tmp_path / "metrics.json")


def test_comparisons_are_paired_and_named():
    a, b = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0])
    values = UserValues(
        users=["u", "v", "w", "x"],
        systems={
            "direct": {"recall@10": a},
            "reasoning": {"pass@10": b, "recall@10": b},
            "sft_direct": {"recall@10": b},
            "sft_reasoning": {"pass@10": a, "recall@10": a},
            "transitions": {"recall@10": b},
        },
    )
    comparisons = values.comparisons(resamples=50)
    assert set(comparisons) == {"direct_vs_transitions", "direct_vs_sft", "reasoning_vs_sft", "reasoning_vs_direct"}
    assert comparisons["direct_vs_transitions"]["recall@10"].value == 0.25
    assert comparisons["reasoning_vs_sft"]["pass@10"].value == -0.25
    assert set(comparisons["reasoning_vs_direct"]) == {"recall@10"}


def test_user_values_are_kept_beside_the_metrics(tmp_path):
    values = UserValues(["u", "v"], {"direct": {"recall@5": np.array([1.0, 0.0]), "ndcg@5": np.array([0.5, 0.0])}})
    values.save(tmp_path / "users.parquet")
    loaded = UserValues.load(tmp_path / "users.parquet")
    assert loaded.users == ["u", "v"]
    assert loaded.systems["direct"]["ndcg@5"].tolist() == [0.5, 0.0]
    with pytest.raises(ArtifactError, match="does not exist"):
        UserValues.load(tmp_path / "other.parquet")


def test_every_user_needs_a_value():
    with pytest.raises(ConfigError, match="direct recall@5: one value for each of 2 users"):
        UserValues(["u", "v"], {"direct": {"recall@5": np.array([1.0])}})
