"""Compile a pipeline to the YAML that the KFP UI takes."""

from pathlib import Path

from kfp import compiler

from gream.artifacts import write_text_atomic
from pipelines.training import training_pipeline

PIPELINES = {"training": training_pipeline}


def compile_pipeline(name: str, target: Path) -> None:
    """Write the YAML of one of `PIPELINES` to `target`."""
    draft = target.with_name(f".{target.stem}.draft.yaml")
    compiler.Compiler().compile(PIPELINES[name], str(draft))
    write_text_atomic(target, draft.read_text(encoding="utf-8"))
    draft.unlink()
