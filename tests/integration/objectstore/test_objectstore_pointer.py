"""Two writers cannot both move a pointer, and nothing that it has said is lost."""

import pytest
from racers import winners

from gream.errors import StoreError
from gream.objectstore import Pointer, PointerMovedError, publish_artifact, upload_artifact

pytestmark = pytest.mark.integration


def test_it_moves_when_it_says_what_was_read(bucket, make_artifact):
    uri = f"s3://{bucket}/champion"
    first, second = (upload_artifact(make_artifact(name, file=name.encode()), uri) for name in ("first", "second"))
    pointer = Pointer(uri)
    assert pointer.read() is None
    one = pointer.move(first, expected=None)
    two = pointer.move(second, expected=one)
    assert (one.digest, one.number) == (first, 1)
    assert (two.digest, two.number) == (second, 2)
    assert list(pointer.history()) == [two, one]


def test_it_refuses_who_has_read_something_older(bucket, make_artifact):
    uri = f"s3://{bucket}/champion"
    first, second = (upload_artifact(make_artifact(name, file=name.encode()), uri) for name in ("first", "second"))
    pointer = Pointer(uri)
    one = pointer.move(first, expected=None)
    for stale in (None, one.model_copy(update={"number": 7})):
        with pytest.raises(PointerMovedError, match=rf"it names version {first} \(move 1\)\.$"):
            pointer.move(second, expected=stale)
    assert list(pointer.history()) == [one]


def test_going_back_is_a_move_too(bucket, make_artifact):
    uri = f"s3://{bucket}/champion"
    first, second = (publish_artifact(make_artifact(name, file=name.encode()), uri) for name in ("first", "second"))
    pointer = Pointer(uri)
    pointer.move(first, expected=pointer.read())
    assert [publication.digest for publication in pointer.history()] == [first, second, first]


def test_it_never_names_what_is_not_there(bucket, make_artifact, seaweed):
    uri = f"s3://{bucket}/champion"
    version = upload_artifact(make_artifact("first", file=b"1"), uri)
    seaweed.client.remove_object(bucket, f"champion/versions/{version}/manifest.json")
    with pytest.raises(StoreError, match=f"has no complete version {version}"):
        Pointer(uri).move(version, expected=None)
    assert Pointer(uri).read() is None


def test_of_two_processes_that_race_exactly_one_wins_each_time(bucket, make_artifact):
    uri = f"s3://{bucket}/champion"
    digests = [upload_artifact(make_artifact(name, file=name.encode()), uri) for name in ("first", "second")]
    won = winners(Pointer, uri, digests, PointerMovedError)
    assert [publication.model_dump_json() for publication in Pointer(uri).history()] == won[::-1]
