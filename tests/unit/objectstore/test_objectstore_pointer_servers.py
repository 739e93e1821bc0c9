"""Pointers on servers that ignore conditions, or whose answers get lost."""

import json

import pytest

from gream.artifacts import MANIFEST, content_digest
from gream.errors import StoreError
from gream.objectstore import Pointer, PointerMovedError, artifact_version
from gream.objectstore.bucket import Bucket

pytestmark = pytest.mark.unit

URI = "s3://models/movies"


@pytest.fixture
def version(server, artifact):
    """A version that is complete in the store."""
    digest = content_digest(artifact)
    server.objects[f"/models/movies/versions/{digest}/{MANIFEST}"] = (artifact / MANIFEST).read_bytes()
    return digest


@pytest.mark.parametrize("weakness", ["honours_conditions", "checks_and_writes_at_once"])
def test_a_server_that_lets_two_writers_through_moves_nothing(server, version, weakness):
    setattr(server, weakness, False)
    with pytest.raises(StoreError, match="lets several conditional writes"):
        Pointer(URI).move(version, expected=None)
    assert Pointer(URI).read() is None
    assert not any("probe" in key for key in server.objects)


def test_plain_publication_needs_no_conditions(server, version):
    server.honours_conditions = False
    Pointer(URI).set(version)
    assert artifact_version(URI) == version


def test_a_move_whose_answer_was_lost_is_known_as_our_own(server, version):
    pointer = Pointer(URI)
    server.lost_answers = 1
    moved = pointer.move(version, expected=None)
    assert pointer.read() == moved


def test_somebody_elses_move_in_the_last_moment_is_not_taken_for_ours(server, version, monkeypatch):
    pointer = Pointer(URI)
    rival = json.dumps({"digest": "0f" * 32, "published_at": "2026-01-01T00:00:00Z", "number": 1}).encode()
    write = Bucket.put_if

    def rival_writes_first(self, key, content, etag):
        if key.endswith("current.json"):
            server.objects["/models/movies/current.json"] = rival
        return write(self, key, content, etag)

    monkeypatch.setattr(Bucket, "put_if", rival_writes_first)
    with pytest.raises(PointerMovedError, match="was moved by somebody else: it names version 0f0f"):
        pointer.move(version, expected=None)
    assert server.objects["/models/movies/current.json"] == rival


def test_a_foreign_object_in_its_place_is_refused(server, version):
    server.objects["/models/movies/current.json"] = b'{"digest": "short"}'
    with pytest.raises(StoreError, match=r"^s3://models/movies/current\.json is not a pointer of GREAM\.$"):
        Pointer(URI).read()
