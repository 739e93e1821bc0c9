"""The engine follows a policy that is published to an S3 store."""

import pytest
from objectstore_seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFs
from tiny_policy import write_tiny_policy

from gream.artifacts import content_digest
from gream.objectstore import publish_artifact
from serving.contracts import EngineRequest
from serving.engine.metrics import EngineMetrics
from serving.engine.policy_keeper import PolicyKeeper
from serving.engine.policy_source import PolicySource
from serving.engine.transformers_engine import TransformersEngine

pytestmark = pytest.mark.integration


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A server of its own, because this test stops it."""
    server = SeaweedFs(tmp_path / "store")
    server.start()
    server.client.make_bucket("shop")
    monkeypatch.setenv("GREAM_S3_ENDPOINT", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    yield server
    server.stop()


def test_a_published_policy_takes_over_and_an_outage_is_survived(store, tmp_path):
    bundles = [tmp_path / f"policy {seed}" for seed in range(3)]
    for seed, bundle in enumerate(bundles):
        write_tiny_policy(bundle, seed=seed, n_items=20)
    versions = [content_digest(bundle)[:12] for bundle in bundles]
    uri = "s3://shop/policies/champion"
    source = PolicySource(uri, tmp_path / "cache")
    metrics = EngineMetrics("transformers")
    keeper = PolicyKeeper(source, TransformersEngine.load, poll_seconds=0.1, metrics=metrics)

    def answering():
        keeper.look()
        if keeper.served is None:
            return None
        with keeper.engine() as engine:
            (answer,) = engine.recommend([EngineRequest(history=("item-1",))])
        assert len(answer.items) == 10
        return answer.policy_version

    assert answering() is None  # Nothing is published yet.
    publish_artifact(bundles[0], uri)
    assert answering() == versions[0]
    assert keeper.served.bundle == tmp_path / "cache" / content_digest(bundles[0])
    publish_artifact(bundles[1], uri)
    assert answering() == versions[1]

    store.stop()
    assert answering() == versions[1]
    store.start()
    publish_artifact(bundles[2], uri)
    assert answering() == versions[2]
    assert not (tmp_path / "cache" / content_digest(bundles[0])).exists()
