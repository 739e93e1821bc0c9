"""Servers that stumble, break off, or are none; artifacts that must not be published or fetched."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from background_server import in_background

from gream.artifacts import MANIFEST, content_digest
from gream.errors import ArtifactError, StoreError
from gream.objectstore import artifact_version, fetch_artifact, publish_artifact
from gream.objectstore.artifacts import fetch_parts
from gream.objectstore.bucket import PART_BYTES, Bucket

pytestmark = pytest.mark.unit


def test_a_server_that_stumbles_is_asked_again(server):
    server.objects["/models/key"] = b"content"
    server.failures = 1
    assert Bucket.from_environment("models").get("key").content == b"content"


def test_a_server_that_only_fails_is_one_sentence(server):
    server.failures = 10
    with pytest.raises(StoreError) as caught:
        artifact_version("s3://models/movies")
    assert str(caught.value) == (
        f"The S3 server at {server.url} does not answer (too many 503 error responses); check GREAM_S3_ENDPOINT and "
        "the server."
    )


def test_a_download_that_breaks_off_goes_on_where_it_was(server, tmp_path):
    content = bytes(range(256)) * 4_096 * 3
    server.objects["/models/key"] = content
    server.cut_after = 3 * 2**19
    seen = []
    digest = Bucket.from_environment("models").download("key", tmp_path / "file", seen.append)
    assert (tmp_path / "file").read_bytes() == content
    assert digest == hashlib.sha256(content).hexdigest()
    assert sum(seen) == len(content)
    assert server.ranges == [None, f"bytes={2**20}-"]  # One whole chunk had come.


@pytest.fixture
def large(tmp_path):
    """A file of two parts, and its checksum."""
    content = bytes(range(256)) * (PART_BYTES // 256) + b"the end"
    (tmp_path / "weights").write_bytes(content)
    return tmp_path / "weights", hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("join", ["whole", "answer lost"])
def test_a_large_file_is_there_though_the_answer_was_lost(server, large, join):
    server.joins = [join]
    file, checksum = large
    Bucket.from_environment("models").upload("weights", file, checksum, lambda _: None)
    assert server.objects["/models/weights"] == file.read_bytes()


def test_a_large_file_that_did_not_become_whole_is_no_success(server, large):
    server.joins = ["refused in a 200"]
    with pytest.raises(
        StoreError, match=r"^s3://models/weights did not become whole on the server: upload it again\.$"
    ):
        Bucket.from_environment("models").upload("weights", *large, lambda _: None)


def test_what_is_no_s3_server_is_said(monkeypatch):
    class Website(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>not here</html>")

        def log_message(self, *_):
            pass

    with in_background(HTTPServer(("127.0.0.1", 0), Website)) as website:
        endpoint = f"http://127.0.0.1:{website.server_port}"
        monkeypatch.setenv("GREAM_S3_ENDPOINT", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
        with pytest.raises(
            StoreError, match=f"^What answers at {endpoint} is not an S3 server; check GREAM_S3_ENDPOINT"
        ):
            artifact_version("s3://models/movies")
        website.shutdown()


def test_unsound_artifacts_are_not_published(server, artifact, tmp_path):
    (tmp_path / "half").mkdir()
    with pytest.raises(ArtifactError, match=r"half is not a complete artifact: it has no manifest\.json"):
        publish_artifact(tmp_path / "half", "s3://models/movies")
    (artifact / "text").write_text("changed")
    with pytest.raises(ArtifactError, match="text is missing or damaged"):
        publish_artifact(artifact, "s3://models/movies")
    assert server.objects == {}


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "", "a/../../outside"])
def test_a_manifest_cannot_write_outside_its_folder(server, tmp_path, name):
    manifest = {"kind": "toy", "files": {name: hashlib.sha256(b"evil").hexdigest()}}
    digest = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True).encode()).hexdigest()
    server.objects[f"/models/movies/versions/{digest}/{MANIFEST}"] = json.dumps(manifest).encode()
    server.objects[f"/models/movies/versions/{digest}/{name}"] = b"evil"
    with pytest.raises(ArtifactError, match="is not inside the artifact"):
        fetch_artifact(f"s3://models/movies@{digest}", tmp_path / "cache")
    assert list(tmp_path.rglob("*")) == [tmp_path / "cache"]


def test_a_version_that_is_not_there_is_named(server, tmp_path):
    with pytest.raises(StoreError, match=f"^s3://models/movies has no complete version {'0f' * 32}"):
        fetch_artifact(f"s3://models/movies@{'0f' * 32}", tmp_path / "cache")


@pytest.mark.parametrize("fetch", [fetch_artifact, lambda uri, cache: fetch_parts(uri, ["text"], cache)])
def test_of_two_readers_that_fetch_a_version_at_once_both_get_it(server, artifact, tmp_path, fetch):
    version = content_digest(artifact)
    for file in (MANIFEST, "text"):
        server.objects[f"/models/movies/versions/{version}/{file}"] = (artifact / file).read_bytes()
    server.meeting = threading.Barrier(2, timeout=10)
    with ThreadPoolExecutor(2) as pool:
        fetched = list(pool.map(lambda _: fetch(f"s3://models/movies@{version}", tmp_path / "cache"), range(2)))
    assert fetched == [tmp_path / "cache" / version] * 2
    assert (fetched[0] / "text").read_text() == "content"
    assert list((tmp_path / "cache").iterdir()) == [tmp_path / "cache" / version]
