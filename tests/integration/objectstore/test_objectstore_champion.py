"""The champion and the record of decisions in an S3 store: the same promises as in a folder."""

import multiprocessing
from datetime import UTC, datetime, timedelta

import pytest
from promotion_records import gate_verdict

from gream.artifacts import atomic_folder, content_digest
from gream.documents import open_document
from gream.errors import StoreError
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Freeze, Thaw
from gream.objectstore import artifact_version
from gream.objectstore.prune import prune
from gream.promotion.champion import PromotionError, install, open_champion, promote, roll_back

pytestmark = pytest.mark.integration

SPAWN = multiprocessing.get_context("spawn")
WRITERS, LINES = 3, 5


@pytest.fixture
def bundle(tmp_path):
    def bundle(name):
        with atomic_folder(tmp_path / name, "policy") as folder:
            (folder / "weights").write_text(name)
        return tmp_path / name

    return bundle


def test_first_next_and_back(bucket, bundle):
    uri = f"s3://{bucket}/champion"
    place = open_champion(uri)
    assert place.read() is None
    first = install(place, bundle("A"))
    challenger = place.keep(bundle("B"))
    second = promote(place, bundle("B"), gate_verdict(first.digest, challenger))
    assert (second.digest, second.number, artifact_version(uri)) == (challenger, 2, challenger)
    with pytest.raises(PromotionError, match="is the champion now: compare again"):
        promote(place, bundle("B"), gate_verdict(first.digest, challenger))
    third = roll_back(place)
    assert (third.digest, artifact_version(uri)) == (first.digest, first.digest)
    assert list(place.history()) == [third, second, first]


def test_who_has_read_something_older_does_not_move_it(bucket, bundle):
    place = open_champion(f"s3://{bucket}/champion")
    first = install(place, bundle("A"))
    digest = place.keep(bundle("B"))
    with pytest.raises(PromotionError, match=r"it names version [0-9a-f]{64} \(move 1\)\. Read again"):
        place.move(digest, expected=None)
    assert place.read() == first


@pytest.mark.parametrize(("keep", "left"), [(2, "AX"), (3, "ACX")])
def test_what_rollbacks_go_to_is_pruned_last(bucket, bundle, keys, keep, left):
    uri = f"s3://{bucket}/champion"
    place = open_champion(uri)
    digests = {place.keep(bundle(name)): name for name in "XABC"}
    for name in "XABACA":
        place.move(content_digest(bundle(name)), expected=place.read())
    prune(uri, keep, timedelta(0), datetime.now(UTC) + timedelta(seconds=1))
    assert {digests[key.split("/")[2]] for key in keys() if "/versions/" in key} == set(left)
    assert digests[roll_back(place).digest] == "X"


def race(uri, digest, barrier, outcomes):
    place = open_champion(uri)
    seen = place.read()
    barrier.wait()  # Both have read the same champion, and only now they promote.
    try:
        outcomes.put(place.move(digest, expected=seen).digest)
    except PromotionError:
        outcomes.put(None)


def test_of_two_promoters_exactly_one_wins(bucket, bundle):
    uri = f"s3://{bucket}/champion"
    place = open_champion(uri)
    install(place, bundle("A"))
    barrier, outcomes = SPAWN.Barrier(2, timeout=120), SPAWN.Queue()
    racers = [
        SPAWN.Process(target=race, args=(uri, place.keep(bundle(name)), barrier, outcomes)) for name in ("B", "C")
    ]
    for racer in racers:
        racer.start()
    won = [digest for digest in (outcomes.get(timeout=120) for _ in racers) if digest is not None]
    for racer in racers:
        racer.join()
    assert won == [place.read().digest]
    assert place.read().number == 2


def append(uri, writer):
    log = DecisionLog(uri)
    for line in range(LINES):
        log.append(Freeze(at=line, by=f"writer {writer}", reason="To write."))


def test_no_line_of_the_record_is_lost_when_several_write(bucket):
    uri = f"s3://{bucket}/monitoring/decisions.jsonl"
    writers = [SPAWN.Process(target=append, args=(uri, writer)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    entries = DecisionLog(uri).entries()
    assert len(entries) == WRITERS * LINES
    for writer in range(WRITERS):
        assert [entry.at for entry in entries if entry.by == f"writer {writer}"] == list(range(LINES))


def test_a_store_that_is_down_is_an_error_and_nothing_is_lost(bucket, seaweed, monkeypatch):
    monkeypatch.setenv("GREAM_S3_RETRIES", "0")
    uri = f"s3://{bucket}/monitoring/decisions.jsonl"
    DecisionLog(uri).append(Thaw(at=1, by="ada"))
    seaweed.stop()
    with pytest.raises(StoreError, match="does not answer"):
        DecisionLog(uri).append(Thaw(at=2, by="ada"))
    with pytest.raises(StoreError, match="does not answer"):
        open_document(uri).read()
    seaweed.start()
    monkeypatch.delenv("GREAM_S3_RETRIES")  # A server that has just started may still answer 500.
    assert DecisionLog(uri).entries() == [Thaw(at=1, by="ada")]
