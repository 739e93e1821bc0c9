"""The stages one after another in this process, as far as somebody needs them.

The KFP pipeline wires the same stages for a cluster (`pipelines/training.py`); this is for commands that want one
stage's output, such as an index, without a pipeline around it. Both share a workspace.
"""

from collections.abc import Iterator
from pathlib import Path

from gream.stages.store import RunContext


def run_until(last: str, source: str, seen_items: str, context: RunContext) -> Path:
    """Run the stages up to `last`, one of `gream.stages.STAGES`, and give its output folder.

    Args:
        last: the stage whose output is wanted.
        source: see `gream.stages.ingest`.
        seen_items: see `gream.stages.ingest`.
        context: the run.
    """
    return next(folder for stage, folder in _outputs(source, seen_items, context) if stage == last)


def _outputs(source: str, seen_items: str, context: RunContext) -> Iterator[tuple[str, Path]]:
    """Stage names and output folders in order; a stage runs when its turn is asked for."""
    from gream.stages import ingest

    catalog = ingest.run(source, seen_items, context)
    yield "ingest", catalog

    from gream.stages import enrich

    profiles = enrich.run(catalog, context)
    yield "enrich", profiles

    from gream.stages import index

    semantic_index = index.run(catalog, profiles, context)
    yield "index", semantic_index

    from gream.stages import corpora

    corpus = corpora.run(catalog, profiles, semantic_index, context)
    yield "corpora", corpus

    from gream.stages import sft

    sft_policy = sft.run(catalog, semantic_index, corpus, context)
    yield "sft", sft_policy

    from gream.stages import srpo

    policy = srpo.run(corpus, sft_policy, context)
    yield "srpo", policy

    from gream.stages import evaluate

    evaluation = evaluate.run(catalog, sft_policy, policy, context)
    yield "evaluate", evaluation

    from gream.stages import report

    yield "report", report.run(sft_policy, policy, evaluation, context)
