"""What is published comes back as it was, whatever was killed, damaged or raced on the way."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from minio.commonconfig import CopySource

from gream.artifacts import content_digest, open_artifact
from gream.errors import ArtifactError, StoreError
from gream.objectstore import artifact_version, fetch_artifact, publish_artifact, upload_artifact

pytestmark = pytest.mark.integration


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_round_trip(bucket, make_artifact, tmp_path, keys):
    uri = f"s3://{bucket}/models/movies"
    folder = make_artifact("bundle", weights=b"w" * 1000, empty=b"")
    (folder / "stray").write_text("no part of the artifact")
    version = publish_artifact(folder, uri)
    assert version == content_digest(folder) == artifact_version(uri)
    fetched = fetch_artifact(uri, tmp_path / "cache")
    assert fetched == tmp_path / "cache" / version
    (folder / "stray").unlink()
    assert contents(fetched) == contents(folder)
    assert open_artifact(fetched, "toy")["files"].keys() == {"deep/weights", "deep/empty"}
    assert f"models/movies/versions/{version}/deep/weights" in keys()


def test_readers_of_the_pointer_see_the_newest_and_readers_of_a_version_that_one(bucket, make_artifact, tmp_path):
    uri = f"s3://{bucket}/models/movies"
    first = publish_artifact(make_artifact("first", weights=b"1"), uri)
    second = publish_artifact(make_artifact("second", weights=b"2"), uri)
    assert artifact_version(uri) == second
    assert (fetch_artifact(uri, tmp_path / "cache") / "deep" / "weights").read_bytes() == b"2"
    assert (fetch_artifact(f"{uri}@{first}", tmp_path / "cache") / "deep" / "weights").read_bytes() == b"1"


def test_an_upload_alone_changes_nothing_for_readers(bucket, make_artifact, tmp_path):
    uri = f"s3://{bucket}/models/movies"
    version = upload_artifact(make_artifact("candidate", weights=b"1"), uri)
    with pytest.raises(StoreError, match=rf"^Nothing is published at {uri}\.$"):
        artifact_version(uri)
    assert fetch_artifact(f"{uri}@{version}", tmp_path / "cache").name == version


def test_large_files_go_up_in_parts(bucket, seaweed, make_artifact, tmp_path):
    uri = f"s3://{bucket}/large"
    weights = random.Random(0).randbytes(40 * 2**20)
    version = publish_artifact(make_artifact("large", weights=weights), uri)
    # S3 marks an object of n parts in its tag: 40 MiB are two parts of 16 and one of 8.
    assert seaweed.client.stat_object(bucket, f"large/versions/{version}/deep/weights").etag.endswith("-3")
    assert (fetch_artifact(uri, tmp_path / "cache") / "deep" / "weights").read_bytes() == weights


def test_a_killed_upload_is_invisible_and_goes_on(bucket, seaweed, make_artifact, tmp_path, keys):
    uri = f"s3://{bucket}/killed"
    generator = random.Random(0)
    folder = make_artifact("bundle", **{f"part{n:02}": generator.randbytes(2**21) for n in range(40)})
    code = "import sys, pathlib, gream.objectstore as s; s.publish_artifact(pathlib.Path(sys.argv[1]), sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), uri], stderr=subprocess.DEVNULL)
    while len(keys()) < 3:
        assert process.poll() is None, "the upload ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = keys()
    assert 3 <= len(there) < 40
    with pytest.raises(StoreError, match="Nothing is published"):
        fetch_artifact(uri, tmp_path / "cache")
    seaweed.client.copy_object(  # Marked, so that a second upload of it would show.
        bucket,
        there[0],
        CopySource(bucket, there[0]),
        metadata={**_checksum(seaweed, bucket, there[0]), "mark": "from the first attempt"},
        metadata_directive="REPLACE",
    )
    publish_artifact(folder, uri)
    assert seaweed.client.stat_object(bucket, there[0]).metadata["x-amz-meta-mark"] == "from the first attempt"
    assert contents(fetch_artifact(uri, tmp_path / "cache")) == contents(folder)


def _checksum(seaweed, bucket, key):
    return {"sha256": seaweed.client.stat_object(bucket, key).metadata["x-amz-meta-sha256"]}


@pytest.mark.parametrize("kept", [False, True])
def test_a_damaged_object_is_named_and_publishing_again_repairs_it(bucket, seaweed, make_artifact, tmp_path, kept):
    """Also where the size and the checksum that was noted beside the object are still the good ones."""
    uri = f"s3://{bucket}/damaged"
    folder = make_artifact("bundle", weights=b"good", other=b"other")
    key = f"damaged/versions/{publish_artifact(folder, uri)}/deep/weights"
    noted = _checksum(seaweed, bucket, key) if kept else None
    seaweed.client.put_object(bucket, key, io.BytesIO(b"evil"), 4, metadata=noted)
    with pytest.raises(ArtifactError, match=rf"^s3://{bucket}/{key} is damaged: its SHA-256 is not the one"):
        fetch_artifact(uri, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    publish_artifact(folder, uri)
    assert contents(fetch_artifact(uri, tmp_path / "cache")) == contents(folder)


def test_a_changed_manifest_is_noticed(bucket, seaweed, make_artifact, tmp_path):
    uri = f"s3://{bucket}/forged"
    folder, forged = make_artifact("bundle", weights=b"good"), make_artifact("forged", weights=b"evil")
    version = f"forged/versions/{publish_artifact(folder, uri)}"
    for name in ("manifest.json", "deep/weights"):
        seaweed.client.fput_object(bucket, f"{version}/{name}", str(forged / name))
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged: it is not that of version"):
        fetch_artifact(uri, tmp_path / "cache")


def test_a_missing_file_is_named(bucket, seaweed, make_artifact, tmp_path):
    uri = f"s3://{bucket}/incomplete"
    key = f"incomplete/versions/{publish_artifact(make_artifact('bundle', weights=b'good'), uri)}/deep/weights"
    seaweed.client.remove_object(bucket, key)
    with pytest.raises(ArtifactError, match=f"^s3://{bucket}/{key} is missing from the store; publish it again"):
        fetch_artifact(uri, tmp_path / "cache")


def test_the_cache_is_used_and_repaired(bucket, seaweed, make_artifact, tmp_path):
    uri = f"s3://{bucket}/cached"
    version = publish_artifact(make_artifact("bundle", weights=b"good"), uri)
    fetched = fetch_artifact(uri, tmp_path / "cache")
    inode = (fetched / "deep" / "weights").stat().st_ino
    assert (fetch_artifact(uri, tmp_path / "cache") / "deep" / "weights").stat().st_ino == inode
    (fetched / "deep" / "weights").write_bytes(b"bad!")
    assert (fetch_artifact(uri, tmp_path / "cache") / "deep" / "weights").read_bytes() == b"good"
    seaweed.client.remove_object(bucket, f"cached/versions/{version}/deep/weights")
    assert fetch_artifact(f"{uri}@{version}", tmp_path / "cache") == fetched


def test_readers_that_share_a_cache_do_not_disturb_each_other(bucket, make_artifact, tmp_path):
    uri = f"s3://{bucket}/shared"
    folder = make_artifact("bundle", weights=os.urandom(2**20), other=b"other")
    publish_artifact(folder, uri)
    with ThreadPoolExecutor(8) as pool:
        fetched = set(pool.map(lambda _: fetch_artifact(uri, tmp_path / "cache"), range(8)))
    assert list((tmp_path / "cache").iterdir()) == list(fetched)
    assert contents(fetched.pop()) == contents(folder)


def test_a_second_publication_of_the_same_content_changes_nothing(bucket, seaweed, make_artifact, keys):
    uri = f"s3://{bucket}/twice"
    publish_artifact(make_artifact("one", weights=b"same"), uri)
    before = {key: seaweed.client.stat_object(bucket, key).etag for key in keys()}
    publish_artifact(make_artifact("two", weights=b"same"), uri)
    assert {key: seaweed.client.stat_object(bucket, key).etag for key in keys()} == before
