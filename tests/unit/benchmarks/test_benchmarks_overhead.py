"""Overhead: the seconds of stages, each counted once."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.overhead import stage_seconds
from gream.artifacts import atomic_folder
from gream.stages import evaluate, measured
from gream.stages.store import Recipe, produce

pytestmark = pytest.mark.unit


def output(stage: str, kind: str, workspace: Path, part: str = "", **pieces: Path) -> Path:
    def make(target, work):
        with atomic_folder(target, kind) as folder:
            (folder / "text").write_text(part)
        return {}

    return produce(Recipe(stage, kind, {}, 0, {}, (), part, pieces), make, workspace)


def test_pieces_of_an_evaluation_are_not_counted_beside_it(tmp_path, monkeypatch):
    ticks = itertools.count(0, 7)  # Whatever is made takes seven seconds.
    monkeypatch.setattr("gream.stages.store.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    output("index", "semantic_index", tmp_path)
    output("enrich", "item_profiles", tmp_path, "share 1 of 2")
    pieces = {name: output("evaluate", measured.KIND, tmp_path, name) for name in ("baselines", "sft")}
    output("evaluate", evaluate.KIND, tmp_path, **pieces)
    assert stage_seconds(tmp_path) == 5 * 7
