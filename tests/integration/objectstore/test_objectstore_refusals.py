"""What a person reads when keys, bucket or server are wrong: one sentence, no secret, nothing written."""

import pytest
from objectstore_seaweed import ACCESS_KEY, READING_KEY, SECRET_KEY

from gream.errors import StoreError
from gream.objectstore import artifact_version, fetch_artifact, publish_artifact
from pipelines.publish import require_store

pytestmark = pytest.mark.integration


def test_wrong_keys(bucket, make_artifact, tmp_path, monkeypatch, keys):
    folder = make_artifact("bundle", weights=b"w")
    for variable, code in (
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
    ):
        monkeypatch.setenv(variable, "wrong-key-5d1")
        for action in (
            lambda: publish_artifact(folder, f"s3://{bucket}/x"),
            lambda: fetch_artifact(f"s3://{bucket}/x", tmp_path / "cache"),
        ):
            with pytest.raises(StoreError, match=rf"does not accept the keys \({code}\): check AWS_ACCESS") as caught:
                action()
            assert "wrong-key-5d1" not in str(caught.value)
    assert keys() == []


def test_keys_that_may_only_read_are_refused_before_a_run(bucket, monkeypatch, keys):
    require_store(f"s3://{bucket}/shop")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READING_KEY)
    with pytest.raises(StoreError, match=r"does not allow the keys this on s3://.*, publishing s3:PutObject"):
        require_store(f"s3://{bucket}/shop")
    assert keys() == []


def test_keys_from_a_mounted_secret(bucket, make_artifact, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "accesskey").write_text(f"{ACCESS_KEY}\n")
    (tmp_path / "secretkey").write_text(SECRET_KEY)
    monkeypatch.setenv("GREAM_S3_SECRET", str(tmp_path))
    version = publish_artifact(make_artifact("bundle", weights=b"w"), f"s3://{bucket}/x")
    assert artifact_version(f"s3://{bucket}/x") == version


def test_missing_bucket(bucket, make_artifact, tmp_path, seaweed):
    folder = make_artifact("bundle", weights=b"w")
    for action in (
        lambda: publish_artifact(folder, "s3://no-such-bucket/x"),
        lambda: fetch_artifact("s3://no-such-bucket/x", tmp_path / "cache"),
    ):
        with pytest.raises(
            StoreError, match=rf"^The S3 server at {seaweed.url} has no bucket 'no-such-bucket': create"
        ):
            action()
    assert not seaweed.client.bucket_exists("no-such-bucket")


def test_server_down(bucket, make_artifact, seaweed, monkeypatch):
    folder = make_artifact("bundle", weights=b"w")
    monkeypatch.setenv("GREAM_S3_RETRIES", "1")
    seaweed.stop()
    try:
        with pytest.raises(StoreError) as caught:
            publish_artifact(folder, f"s3://{bucket}/x")
    finally:
        seaweed.start()
    monkeypatch.delenv("GREAM_S3_RETRIES")
    assert str(caught.value) == (
        f"The S3 server at {seaweed.url} does not answer ([Errno 111] Connection refused); check GREAM_S3_ENDPOINT and "
        "the server."
    )
    publish_artifact(folder, f"s3://{bucket}/x")
