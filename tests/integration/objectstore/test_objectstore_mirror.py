"""Two machines with one mirror: the second one reuses what the first one made, and goes on where it was killed."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gream.artifacts import atomic_folder, content_digest
from gream.errors import StoreError
from gream.objectstore.bucket import Bucket
from gream.stages.mirror import Mirror, keep_checkpoint
from gream.stages.store import Recipe, produce, stage_facts
from gream.stages.tidy import tidy_mirror

pytestmark = pytest.mark.integration


@pytest.fixture
def recipe():
    return Recipe(stage="sft", kind="toy", settings={"steps": 3}, seed=0, inputs={}, code=("errors.py",))


@pytest.fixture
def mirror(bucket, monkeypatch):
    uri = f"s3://{bucket}/workspaces/shop"
    monkeypatch.setenv("GREAM_WORKSPACE_REMOTE", uri)
    return uri


def save(target, text):
    with atomic_folder(target, "toy") as folder:
        (folder / "text").write_text(text)


class Training:
    """Three steps, a checkpoint after each; `killed_after` says which one is the last before the machine is lost."""

    def __init__(self, killed_after=None):
        self._killed_after = killed_after
        self.steps = []

    def __call__(self, target, work):
        found = sorted(work.glob("checkpoints/*"))
        for step in range(int(found[-1].name) + 1 if found else 1, 4):
            self.steps.append(step)
            (work / "checkpoints" / str(step)).mkdir(parents=True)
            (work / "checkpoints" / str(step) / "weights").write_text(f"after {step}")
            for old in found:
                (old / "weights").unlink()
                old.rmdir()
            found = [work / "checkpoints" / str(step)]
            keep_checkpoint(work)
            if step == self._killed_after:
                raise RuntimeError("killed")
        save(target, (found[-1] / "weights").read_text())
        return {"log": self.steps}


def test_what_one_machine_made_another_reuses(mirror, recipe, tmp_path, capsys):
    made = produce(recipe, Training(), tmp_path / "a")
    training = Training()
    fetched = produce(recipe, training, tmp_path / "b")
    assert training.steps == []
    assert fetched == tmp_path / "b" / "sft" / recipe.fingerprint()
    assert content_digest(fetched) == content_digest(made)
    assert stage_facts(fetched) == stage_facts(made)
    assert "[5/8 sft] done already, fetched from the mirror" in capsys.readouterr().err
    assert sorted(path.name for path in fetched.parent.iterdir()) == [fetched.name, f"{fetched.name}.lock"]


def test_another_recipe_is_not_answered_from_the_mirror(mirror, recipe, tmp_path):
    produce(recipe, Training(), tmp_path / "a")
    training = Training()
    produce(replace(recipe, seed=1), training, tmp_path / "b")
    assert training.steps == [1, 2, 3]


def test_an_empty_disk_goes_on_from_the_newest_checkpoint(mirror, recipe, tmp_path, capsys, keys):
    with pytest.raises(RuntimeError, match="killed"):
        produce(recipe, Training(killed_after=2), tmp_path / "a")
    assert [key.rsplit("/", 2)[1:] for key in keys() if "checkpoints" in key] == [["2", "weights"]]
    training = Training()
    done = produce(recipe, training, tmp_path / "b")
    assert training.steps == [3]
    assert (done / "text").read_text() == "after 3"
    assert "[5/8 sft] continued" in capsys.readouterr().err
    assert not any(".work/" in key for key in keys())


def test_seconds_of_the_lost_machine_count_and_the_time_between_does_not(mirror, recipe, tmp_path, monkeypatch):
    clock = [1_000_000.0]
    monkeypatch.setattr("gream.stages.attempts.time.time", lambda: clock[0])

    def lose(target, work):
        (work / "weights").write_text("after 1")
        clock[0] += 70
        keep_checkpoint(work)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        produce(recipe, lose, tmp_path / "a")
    clock[0] = 2_000_000_000.0  # Later than the files that are fetched now, which carry real times.
    facts = stage_facts(produce(recipe, Training(), tmp_path / "b"))
    assert facts["seconds"]["sft"] == pytest.approx(70, abs=20)


def test_a_local_output_that_the_mirror_lacks_is_copied_there(bucket, recipe, tmp_path, monkeypatch):
    produce(recipe, Training(), tmp_path / "a")
    monkeypatch.setenv("GREAM_WORKSPACE_REMOTE", f"s3://{bucket}/workspace")
    produce(recipe, Training(), tmp_path / "a")
    training = Training()
    produce(recipe, training, tmp_path / "b")
    assert training.steps == []


def a_moment_later():
    """A time after all that was written until now, and before all that will be; a store may tell whole seconds."""
    time.sleep(1.1)
    between = datetime.now(UTC)
    time.sleep(1.1)
    return between


def test_what_no_machine_has_asked_for_goes(mirror, recipe, tmp_path, keys):
    other = replace(recipe, seed=1)
    for each in (recipe, other):
        produce(each, Training(), tmp_path / "a")
    with pytest.raises(RuntimeError, match="killed"):
        produce(replace(recipe, seed=2), Training(killed_after=1), tmp_path / "a")
    since = a_moment_later()
    produce(recipe, Training(), tmp_path / "b")  # Fetches it, which writes nothing of it.

    gone = Mirror(mirror).forget_unused(["index", "sft"], since)
    lost = replace(recipe, seed=2).fingerprint()
    assert sorted(gone) == sorted(f"{mirror}/sft/{name}" for name in (other.fingerprint(), lost, f"{lost}.work"))
    assert {key.split("/")[3] for key in keys()} == {recipe.fingerprint()}
    training = Training()
    produce(recipe, training, tmp_path / "c")
    assert training.steps == []
    produce(other, training, tmp_path / "c")
    assert training.steps == [1, 2, 3]


def test_tidying_leaves_a_day_to_runs_under_way(mirror, recipe, tmp_path, keys):
    produce(recipe, Training(), tmp_path / "a")
    before = keys()
    assert tidy_mirror(Mirror(mirror), keep_days=0) == []
    assert keys() == before


@pytest.mark.parametrize("damage", ["other bytes", "a file less"])
def test_a_damaged_copy_is_said_and_replaced(mirror, recipe, tmp_path, capsys, seaweed, bucket, keys, damage):
    produce(recipe, Training(), tmp_path / "a")
    (key,) = [key for key in keys() if key.endswith("content/text")]
    if damage == "other bytes":
        seaweed.client.fput_object(bucket, key, __file__)
    else:
        seaweed.client.remove_object(bucket, key)
    training = Training()
    produce(recipe, training, tmp_path / "b")
    assert training.steps == [1, 2, 3]
    assert f"the mirror's copy was damaged and has been deleted: s3://{bucket}/{key} is" in capsys.readouterr().err
    training = Training()
    produce(recipe, training, tmp_path / "c")
    assert training.steps == []


def test_a_copy_of_which_nothing_is_there_is_made_again(mirror, recipe, tmp_path, capsys, seaweed, bucket, keys):
    produce(recipe, Training(), tmp_path / "a")
    for key in keys():
        if "/versions/" in key:
            seaweed.client.remove_object(bucket, key)
    training = Training()
    produce(recipe, training, tmp_path / "b")
    assert training.steps == [1, 2, 3]
    place = f"{mirror}/sft/{recipe.fingerprint()}"
    assert f"the mirror's copy was damaged and has been deleted: {place} is damaged" in capsys.readouterr().err
    training = Training()
    produce(recipe, training, tmp_path / "c")
    assert training.steps == []


@pytest.fixture
def write(tmp_path):
    """A folder of the same name on each machine, with a text."""

    def write(machine, text):
        folder = tmp_path / machine / "sft" / "0f.work"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "text").unlink(missing_ok=True)
        (folder / "text").write_text(text)
        return folder

    return write


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets something happen just before a request of a kind is sent for the first time."""

    def meanwhile(verb, happens):
        send = getattr(Bucket, verb)

        def late(*given):
            monkeypatch.setattr(Bucket, verb, send)
            happens()
            return send(*given)

        monkeypatch.setattr(Bucket, verb, late)

    return meanwhile


def test_two_machines_that_keep_the_same_leave_one_whole_copy(mirror, tmp_path, keys, write, meanwhile):
    here, there = Mirror.from_environment(), Mirror.from_environment()
    here.keep(write("a", "an earlier step"))
    meanwhile("sizes", lambda: there.keep(write("b", "there")))
    here.keep(write("a", "here"))
    (tmp_path / "c" / "sft").mkdir(parents=True)
    brought = tmp_path / "c" / "sft" / "0f.work"
    assert here.bring(brought)
    assert (brought / "text").read_text() == "there"
    assert len([key for key in keys() if key.endswith("/text")]) == 1


def test_a_copy_that_is_replaced_while_it_is_read_is_read_again(mirror, tmp_path, write, meanwhile):
    here, there = Mirror.from_environment(), Mirror.from_environment()
    there.keep(write("b", "step 1"))
    meanwhile("download", lambda: there.keep(write("b", "step 2")))
    (tmp_path / "a" / "sft").mkdir(parents=True)
    brought = tmp_path / "a" / "sft" / "0f.work"
    assert here.bring(brought)
    assert (brought / "text").read_text() == "step 2"


def test_a_store_that_is_away_stops_the_stage_and_loses_nothing(mirror, recipe, tmp_path, seaweed, monkeypatch):
    def lose_the_store(target, work):
        save(target, "made")
        seaweed.stop()
        return {}

    monkeypatch.setenv("GREAM_S3_RETRIES", "0")
    try:
        with pytest.raises(StoreError, match="does not answer"):
            produce(recipe, lose_the_store, tmp_path / "a")
    finally:
        seaweed.start()
    monkeypatch.delenv("GREAM_S3_RETRIES")
    training = Training()
    assert (produce(recipe, training, tmp_path / "a") / "text").read_text() == "made"
    assert (produce(recipe, training, tmp_path / "b") / "text").read_text() == "made"
    assert training.steps == []
