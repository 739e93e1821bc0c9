"""Where stage outputs live, and why a killed run loses nothing.

The output of a stage stands at `WORKSPACE/STAGE/FINGERPRINT/`. The fingerprint is a SHA-256 over everything that
decides the output: the stage's name, its sections of the profile, the seed, the content of its input artifacts, and the
source files of `gream` that it runs. So a stage whose fingerprint is already there is done and is not run again, and a
changed setting, input or line of code makes a new one beside the old.

While it runs, a stage works in `FINGERPRINT.work/`, which outlives a kill: checkpoints put there are found by the next
attempt. The finished artifact moves out of it in one rename. A lock lets one process at a time make an output; others
wait and then reuse it.

Not part of the fingerprint: versions of other packages, after whose upgrade you start with a new workspace, and the
number of threads, on which the last bits of an output may depend.
"""

import fcntl
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import gream
from gream.artifacts import (
    MANIFEST,
    check_replaceable,
    content_digest,
    link_or_copy,
    staged_folder,
    verify_artifact,
    write_text_atomic,
)
from gream.config import Profile
from gream.errors import ArtifactError, ConfigError
from gream.profile_files import load_profile
from gream.stages import EVERY_STAGE, MAX_SEED, STAGES
from gream.stages.attempts import begin_attempt, restart_clock
from gream.stages.mirror import Mirror

STAGE_FILE: Final = "stage.json"
"""Beside each output's manifest, see `stage_facts`. It is no part of the content: seconds change nothing downstream."""


@dataclass(frozen=True)
class RunContext:
    """What all stages of a run share.

    Attributes:
        profile: every setting.
        seed: of every random choice.
        workspace: folder that holds the outputs of all stages, of this run and of earlier ones.
    """

    profile: Profile
    seed: int
    workspace: Path


def open_run(profile: str, overrides: Sequence[str], seed: int, workspace: str) -> RunContext:
    """A run's context from the plain values that a form or a command line gives.

    Raises:
        ConfigError: see `gream.profile_files.load_profile`; or no generator takes the seed.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed {seed}: a whole number from 0 to {MAX_SEED} is needed.")
    return RunContext(load_profile(profile, overrides), seed, Path(workspace))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the output of a stage.

    Attributes:
        stage: one of `EVERY_STAGE`.
        kind: the artifact's kind, as in `gream.artifacts`.
        settings: JSON-serialisable settings, usually sections of the profile.
        seed: the run's seed.
        inputs: artifact folders by name.
        code: files and folders of the `gream` package, relative to it, whose source decides the output.
        part: which part of the stage's work this is, in words; empty for the whole.
        pieces: outputs of the same stage that this one is put together from, by name: inputs whose seconds are its own.
    """

    stage: str
    kind: str
    settings: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, Path]
    code: tuple[str, ...]
    part: str = ""
    pieces: Mapping[str, Path] = field(default_factory=dict)

    @property
    def needs(self) -> dict[str, Path]:
        """Inputs and pieces."""
        return {**self.inputs, **self.pieces}

    def fingerprint(self) -> str:
        """SHA-256 over the recipe, as hex; paths do not enter, contents do.

        Raises:
            ArtifactError: an input is not a complete artifact.
        """
        for name, folder in self.needs.items():
            if not (folder / MANIFEST).is_file():
                raise ArtifactError(f"stage {self.stage!r}: its input {name!r} at {folder} is not a complete artifact.")
        parts: dict[str, Any] = {
            "stage": self.stage,
            "settings": self.settings,
            "seed": self.seed,
            "inputs": {name: content_digest(folder) for name, folder in self.needs.items()},
            "code": _code_digest((f"stages/{self.stage}.py", *self.code)),
        }
        if self.part:
            parts["part"] = self.part
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def say(self, message: str) -> None:
        """One line about it on stderr: `[3/8 index] done in 21 s`, `[2/8 enrich] share 1 of 4: started`, or `[gate]
        started` of what a training run does not have."""
        text = f"{self.part}: {message}" if self.part else message
        place = f"{STAGES.index(self.stage) + 1}/{len(STAGES)} " if self.stage in STAGES else ""
        print(f"[{place}{self.stage}] {text}", file=sys.stderr, flush=True)


def produce(recipe: Recipe, make: Callable[[Path, Path], dict[str, Any]], workspace: Path) -> Path:
    """The folder that holds the output of a recipe, made now or earlier.

    Args:
        recipe: what is to be made.
        make: called as `make(target, work)` if the output is not there yet. It saves an artifact of the recipe's kind
            at `target`, where nothing stands, and returns notes for `stage_facts`, such as a training log; `work` is a
            scratch folder that outlives a kill, for checkpoints.
        workspace: see `RunContext`.

    Where the workspace has a mirror (`gream.stages.mirror`), what is missing here is taken from there, and what is made
    here is copied there.

    Returns:
        A finished artifact folder. It is shared by all runs: read it, never write into it.
    """
    fingerprint = recipe.fingerprint()
    home = workspace / recipe.stage
    home.mkdir(parents=True, exist_ok=True)
    done, work = home / fingerprint, home / f"{fingerprint}.work"
    mirror = Mirror.from_environment()
    with _only_one(home / f"{fingerprint}.lock", recipe):
        if mirror:
            mirror.note_use(done)
        if _is_sound(done, recipe):
            recipe.say("done already, reused")
        elif mirror and _brought(mirror, done, recipe):
            recipe.say("done already, fetched from the mirror")
        else:
            if mirror and not work.exists() and _brought(mirror, work, recipe):
                restart_clock(work)
            _make(recipe, fingerprint, make, work).rename(done)
            shutil.rmtree(work)
        if mirror and not mirror.has(done):
            mirror.keep(done)
            mirror.forget(work)
    return done


def _make(recipe: Recipe, fingerprint: str, make: Callable[[Path, Path], dict[str, Any]], work: Path) -> Path:
    """Make an output inside `work`, going on from what an earlier attempt left there; its folder, checked."""
    recipe.say("continued" if work.exists() else "started")
    earlier = begin_attempt(work)
    target = work / "artifact"
    shutil.rmtree(target, ignore_errors=True)  # A killed attempt may have left half of it.
    started = time.monotonic()
    notes = make(target, work)
    of_pieces = sum(stage_facts(piece)["seconds"][recipe.stage] for piece in set(recipe.pieces.values()))
    own_seconds = round(earlier + of_pieces + time.monotonic() - started, 1)
    facts = {
        "stage": recipe.stage,
        "fingerprint": fingerprint,
        "seed": recipe.seed,
        "settings": recipe.settings,
        "seconds": {**_seconds_of_inputs(recipe), recipe.stage: own_seconds},
        "notes": notes,
    }
    write_text_atomic(target / STAGE_FILE, json.dumps(facts, indent=2) + "\n")
    verify_artifact(target, recipe.kind)
    recipe.say(f"done in {own_seconds:.0f} s")
    return target


def stage_facts(artifact: Path) -> dict[str, Any]:
    """What the store noted of an output: stage, fingerprint, seed, settings, the stage's notes, and seconds by stage
    (its own and those of the stages that it was made from).

    Raises:
        ArtifactError: no stage made this folder.
    """
    file = artifact / STAGE_FILE
    if not file.is_file():
        raise ArtifactError(f"{artifact} is not the output of a stage: it has no {STAGE_FILE}.")
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return facts


def deliver(artifact: Path, target: str | Path) -> dict[str, str | float]:
    """Let a stored output appear at `target` too: by hard links where the file system can, else by copying. A reader
    sees what stood there whole, for a moment nothing, or the new one.

    Returns:
        Its fingerprint and its stage's seconds, for whoever keeps the lineage.

    Raises:
        ArtifactError: see `check_delivery`.
    """
    check_delivery(Path(target), artifact.parent.parent)
    with staged_folder(Path(target)) as folder:
        shutil.copytree(artifact, folder, copy_function=link_or_copy, dirs_exist_ok=True)
    facts = stage_facts(artifact)
    return {"fingerprint": facts["fingerprint"], "seconds": facts["seconds"][facts["stage"]]}


def check_delivery(target: Path, workspace: Path) -> None:
    """Whether an output of a workspace may be delivered to a place; asked before hours of work, too.

    Raises:
        ArtifactError: `target` is neither absent, nor empty, nor an artifact; or it contains the workspace, or is the
            home of a stage's outputs or inside one.
    """
    check_replaceable(target)
    # KFP's local runner keeps the outputs of its steps in the workspace too, beside the homes of the stages.
    place, root = target.resolve(), workspace.resolve()
    if root.is_relative_to(place) or any(place.is_relative_to(root / stage) for stage in EVERY_STAGE):
        raise ArtifactError(f"{target} is part of the workspace {workspace}, or contains it; name another folder.")


def _is_sound(done: Path, recipe: Recipe) -> bool:
    """Whether a usable output stands at `done`; a damaged one is removed, and said so."""
    if not done.exists():
        return False
    try:
        verify_artifact(done, recipe.kind)
    except ArtifactError as error:
        recipe.say(f"the stored output is damaged and will be made again: {error}")
        shutil.rmtree(done)
        return False
    return True


def _brought(mirror: Mirror, folder: Path, recipe: Recipe) -> bool:
    """Whether a folder could be taken from the mirror; a damaged copy counts as none, and said so."""
    try:
        return mirror.bring(folder)
    except ArtifactError as error:
        recipe.say(f"the mirror's copy was damaged and has been deleted: {error}")
        return False


def _seconds_of_inputs(recipe: Recipe) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for folder in recipe.needs.values():
        if (folder / STAGE_FILE).is_file():  # Also artifacts made by hand may be inputs.
            seconds |= stage_facts(folder)["seconds"]
    return dict(sorted(seconds.items(), key=lambda entry: EVERY_STAGE.index(entry[0])))


def _code_digest(parts: tuple[str, ...]) -> str:
    package = Path(gream.__file__).parent
    digest = hashlib.sha256()
    for part in sorted(parts):
        place = package / part
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        for file in files:
            if file.suffix != ".pyc":
                digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def _only_one(lock: Path, recipe: Recipe) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            recipe.say("another run is making the same output; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        lock.touch()  # When a run last asked for the output: `gream.stages.tidy`.
        yield
