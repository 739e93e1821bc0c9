"""A stage that is done is not done again; whatever decides an output makes a new one; a kill costs nothing."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gream.artifacts import atomic_folder, link_or_copy, open_artifact, verify_artifact
from gream.errors import ArtifactError, ConfigError
from gream.stages.store import Recipe, deliver, open_run, produce, stage_facts

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("clock")]


def artifact(path: Path, text: str) -> Path:
    with atomic_folder(path, "toy") as folder:
        (folder / "text").write_text(text)
    return path


@pytest.fixture
def recipe(tmp_path):
    return Recipe(
        stage="index",
        kind="toy",
        settings={"levels": 3},
        seed=0,
        inputs={"catalog": artifact(tmp_path / "catalog", "rows")},
        code=("indexing",),
    )


class Maker:
    """Counts its calls and writes `text`."""

    def __init__(self, text="made"):
        self.calls = 0
        self.text = text

    def __call__(self, target, work):
        self.calls += 1
        artifact(target, self.text)
        return {"log": [self.text]}


def test_second_time_reuses(recipe, tmp_path, capsys):
    make = Maker()
    first = produce(recipe, make, tmp_path / "workspace")
    second = produce(recipe, make, tmp_path / "workspace")
    assert first == second == tmp_path / "workspace" / "index" / recipe.fingerprint()
    assert make.calls == 1
    assert (first / "text").read_text() == "made"
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["[3/8 index] started", "[3/8 index] done in 7 s", "[3/8 index] done already, reused"]


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "sft"},
        {"settings": {"levels": 4}},
        {"seed": 1},
        {"code": ("indexing", "errors.py")},
    ],
)
def test_what_decides_the_output_changes_the_fingerprint(recipe, change):
    assert replace(recipe, **change).fingerprint() != recipe.fingerprint()


def test_inputs_count_by_content_not_by_path(recipe, tmp_path):
    moved = artifact(tmp_path / "elsewhere", "rows")
    changed = artifact(tmp_path / "changed", "other rows")
    assert replace(recipe, inputs={"catalog": moved}).fingerprint() == recipe.fingerprint()
    assert replace(recipe, inputs={"catalog": changed}).fingerprint() != recipe.fingerprint()


def test_incomplete_input_is_named(recipe, tmp_path):
    (tmp_path / "half").mkdir()
    with pytest.raises(ArtifactError, match=r"stage 'index': its input 'catalog' at .*half is not a complete artifact"):
        replace(recipe, inputs={"catalog": tmp_path / "half"}).fingerprint()


def test_failed_attempt_publishes_nothing_and_keeps_its_checkpoints(recipe, tmp_path):
    workspace = tmp_path / "workspace"

    def fail(target, work):
        (work / "checkpoint").write_text("step 7")
        (target / "half").mkdir(parents=True)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        produce(recipe, fail, workspace)
    assert not (workspace / "index" / recipe.fingerprint()).exists()

    def finish(target, work):
        artifact(target, (work / "checkpoint").read_text())
        return {}

    done = produce(recipe, finish, workspace)
    assert (done / "text").read_text() == "step 7"
    assert sorted(path.name for path in done.parent.iterdir()) == [done.name, f"{done.name}.lock"]


def test_seconds_count_what_a_killed_attempt_left_behind(recipe, tmp_path):
    def fail(target, work):
        (work / "checkpoint").write_text("step 7")
        begun = json.loads((work / "attempt.json").read_text())["started"]
        os.utime(work / "checkpoint", (begun + 40, begun + 40))  # Its last sign of life, 40 s after its start.
        raise RuntimeError("killed")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            produce(recipe, fail, tmp_path / "workspace")
    done = produce(recipe, Maker(), tmp_path / "workspace")
    assert stage_facts(done)["seconds"] == {"index": 40 + 40 + 7}


def test_stage_that_makes_another_kind_is_refused(recipe, tmp_path):
    with pytest.raises(ArtifactError, match="'toy'"):
        produce(replace(recipe, kind="policy"), Maker(), tmp_path / "workspace")
    assert not (tmp_path / "workspace" / "index" / replace(recipe, kind="policy").fingerprint()).exists()


def test_damaged_output_is_made_again(recipe, tmp_path, capsys):
    done = produce(recipe, Maker("good"), tmp_path / "workspace")
    (done / "text").write_text("bad!")
    again = produce(recipe, Maker("good"), tmp_path / "workspace")
    assert (again / "text").read_text() == "good"
    assert "damaged" in capsys.readouterr().err


def test_seconds_follow_the_lineage(recipe, tmp_path):
    workspace = tmp_path / "workspace"
    first = produce(replace(recipe, stage="ingest"), Maker("a"), workspace)
    facts = json.loads((first / "stage.json").read_text())
    facts["seconds"]["ingest"] = 12.5
    (first / "stage.json").write_text(json.dumps(facts))
    second = produce(replace(recipe, inputs={"catalog": first}), Maker("b"), workspace)
    assert stage_facts(second)["seconds"] == {"ingest": 12.5, "index": 7.0}


def test_seconds_of_pieces_are_the_stages_own(recipe, tmp_path):
    """Seven seconds each: two pieces, one of which was there already, and the whole. The catalogue's count once."""
    workspace = tmp_path / "workspace"
    pieces = {name: replace(recipe, part=name) for name in ("first", "second")}
    produce(pieces["first"], Maker("first"), workspace)
    made = {name: produce(piece, Maker(name), workspace) for name, piece in pieces.items()}
    whole = replace(recipe, pieces=made)
    assert stage_facts(produce(whole, Maker("whole"), workspace))["seconds"] == {"index": 21.0}
    twice = replace(recipe, pieces={**made, "again": made["first"]})
    assert stage_facts(produce(twice, Maker("twice"), workspace))["seconds"] == {"index": 21.0}
    other = {**made, "second": produce(replace(pieces["second"], seed=1), Maker("other"), workspace)}
    assert replace(recipe, pieces=other).fingerprint() != whole.fingerprint()


def test_notes_are_kept_beside_the_output(recipe, tmp_path):
    facts = stage_facts(produce(recipe, Maker(), tmp_path / "workspace"))
    assert facts["notes"] == {"log": ["made"]}
    assert facts["settings"] == {"levels": 3}


def test_folder_that_no_stage_made_has_no_facts(tmp_path):
    with pytest.raises(ArtifactError, match="is not the output of a stage"):
        stage_facts(artifact(tmp_path / "foreign", "x"))


def test_delivery_is_a_complete_artifact_and_replaces_what_stood_there(recipe, tmp_path):
    done = produce(recipe, Maker(), tmp_path / "workspace")
    target = artifact(tmp_path / "out", "old")
    (target / "other").mkdir()
    assert deliver(done, target) == {"fingerprint": recipe.fingerprint(), "seconds": 7.0}
    open_artifact(target, "toy")
    assert sorted(path.name for path in target.iterdir()) == ["manifest.json", "stage.json", "text"]
    assert (target / "text").stat().st_ino == (done / "text").stat().st_ino  # Linked: no second copy of the weights.


@pytest.mark.parametrize("place", ["", "workspace", "workspace/index", "workspace/index/new", "workspace/gate/a/b"])
def test_nothing_is_delivered_over_or_into_the_outputs_of_a_workspace(recipe, tmp_path, place):
    done = produce(recipe, Maker(), tmp_path / "workspace")
    artifact(tmp_path / "parent", "x").rename(tmp_path / "shop")
    (tmp_path / "workspace").rename(tmp_path / "shop" / "workspace")  # So that an artifact holds the workspace.
    done = tmp_path / "shop" / done.relative_to(tmp_path)
    with pytest.raises(ArtifactError, match=r"is part of the workspace .*, or contains it|holds something else"):
        deliver(done, tmp_path / "shop" / place)
    open_artifact(done, "toy")
    with pytest.raises(ArtifactError):
        deliver(done, done)
    open_artifact(done, "toy")


def test_the_steps_of_a_local_run_are_delivered_beside_the_stages(recipe, tmp_path):
    done = produce(recipe, Maker(), tmp_path / "workspace")
    deliver(done, tmp_path / "workspace" / "kfp" / "run" / "index")
    open_artifact(tmp_path / "workspace" / "kfp" / "run" / "index", "toy")


@pytest.mark.parametrize("old", [[], ["out"]], ids=["nothing", "an artifact"])
def test_a_delivery_that_breaks_off_leaves_what_stood_there_and_can_be_repeated(recipe, tmp_path, monkeypatch, old):
    done = produce(recipe, Maker(), tmp_path / "workspace")
    for name in old:
        artifact(tmp_path / name, "old")
    before = sorted(tmp_path.rglob("*"))

    def full(source, target):
        Path(target).touch()
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("gream.stages.store.link_or_copy", full)
        with pytest.raises(OSError, match="no space left"):
            deliver(done, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before
    deliver(done, tmp_path / "out")
    assert (tmp_path / "out" / "text").read_text() == "made"


def test_whenever_a_delivery_is_killed_what_stands_there_is_whole(recipe, tmp_path, monkeypatch):
    done = produce(recipe, Maker(), tmp_path / "workspace")
    out, seen = artifact(tmp_path / "out", "old"), []

    def look(source, target):
        for moment in ("before", "after"):
            verify_artifact(out, "toy")
            seen.append((out / "text").read_text())
            if moment == "before":
                link_or_copy(source, target)

    monkeypatch.setattr("gream.stages.store.link_or_copy", look)
    deliver(done, out)
    assert seen == ["old"] * 6  # Before and after each of three files.
    assert (out / "text").read_text() == "made"


def test_a_folder_of_somebody_else_is_kept(recipe, tmp_path):
    done = produce(recipe, Maker(), tmp_path / "workspace")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    with pytest.raises(ArtifactError, match=r"photos holds something else; name another folder\."):
        deliver(done, tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "meow"


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused_before_anything_runs(tmp_path, seed):
    with pytest.raises(ConfigError, match=rf"^seed {seed}: a whole number from 0 to 4294967295 is needed\.$"):
        open_run("laptop", [], seed, str(tmp_path))
    assert open_run("laptop", [], 2**32 - 1, str(tmp_path)).seed == 2**32 - 1
