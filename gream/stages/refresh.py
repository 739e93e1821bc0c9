"""A retraining's data: the catalog with the feedback since, cut in what trains and what is held out.

Two outputs of one reading. What decides them is pinned by content: the catalog's digest, the table of new items, and
the names and sizes of the evidence's parts, which never change under their names.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from gream.artifacts import content_digest, file_digest, link_or_copy, verify_artifact
from gream.data import held_out
from gream.data.assembly import add_skipped, complete_items
from gream.data.catalog import KIND, Catalog, is_catalog
from gream.data.fresh import TAKEN, Cut, join_feedback, last_event
from gream.data.held_out import HeldOut
from gream.data.tables import read_items
from gream.errors import DataError
from gream.locks import locked
from gream.monitoring.evidence import FEEDBACK_SCHEMA, Window
from gream.monitoring.feedback_reader import feedback_parts, read_feedback
from gream.objectstore.uri import ArtifactUri, is_store_uri
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = (
    "columns.py",
    *(f"data/{name}.py" for name in ("assembly", "catalog", "fresh", "held_out")),
    *(f"data/{name}.py" for name in ("table_files", "tables", "text", "timestamps")),
    *(f"monitoring/{name}.py" for name in ("evidence", "evidence_reader", "feedback_reader", "request_log")),
)


@dataclass(frozen=True)
class FreshData:
    """What a retraining is made from.

    Attributes:
        catalog: folder or `s3://bucket/prefix` of a saved catalog.
        evidence: folder or `s3://bucket/prefix` of what serving wrote, with `feedback/`.
        items: table of new items as `gream.policy.extend` takes it, or empty. A column `profile` is not read: profiles
            are the next stage's work.
        cut: what may be known, and what is held out.
    """

    catalog: str
    evidence: str
    items: str
    cut: Cut


def run(data: FreshData, context: RunContext) -> tuple[Path, Path]:
    """The folders of the catalog to train on, and of the hold-out.

    Raises:
        ConfigError: a URI or the environment does not fit.
        ArtifactError: the catalog is damaged.
        DataError: no saved catalog or no evidence stands there, the table of new items cannot be read, there are no
            fresh events, the hold-out would be empty, or the evidence changed while it was read.
        StoreError: a store does not answer or refuses.
    """
    new_items = complete_items(read_items(Path(data.items))) if data.items else None
    folder = _saved_catalog(data.catalog, context.workspace)
    base = Catalog.load(folder)
    with _evidence(data, last_event(base) + 1, context.workspace) as (evidence, window):
        parts = feedback_parts(evidence, window) if window else []
        recipe = Recipe(
            stage="refresh",
            kind=KIND,
            settings={
                "catalog": content_digest(folder),
                "facts": base.facts.model_dump(),
                "evidence": hashlib.sha256(repr(parts).encode()).hexdigest(),
                "items": file_digest(Path(data.items)) if data.items else "",
                "hold_out_since": data.cut.hold_out_since,
                "until": data.cut.until,
            },
            seed=0,  # Nothing is drawn.
            inputs={},
            code=CODE,
        )

        @cache
        def refreshed() -> tuple[Catalog, HeldOut]:
            if window is None:
                return join_feedback(base, pl.DataFrame(schema=FEEDBACK_SCHEMA), new_items, data.cut)
            read = read_feedback(evidence, window)
            # The outputs are named by these. New ones come all the time, with what has arrived since.
            if not set(parts).issubset(feedback_parts(evidence, window)):
                raise DataError(f"{evidence} changed while it was read; start again.")
            try:
                joined, held = join_feedback(base, read.events, new_items, data.cut)
            except DataError as error:
                later = "" if is_store_uri(data.evidence) else _arrived_since(evidence, data.cut.until)
                raise DataError(f"{error}{later}") from error
            skipped = dict(joined.facts.skipped)
            for one in read.skipped:
                reason = "unreadable_feedback_files" if one.rows is None else "unsound_feedback"
                add_skipped(skipped, reason, one.rows or 1)
            return replace(joined, facts=joined.facts.model_copy(update={"skipped": skipped})), held

        def make_catalog(target: Path, _: Path) -> dict[str, Any]:
            refreshed()[0].save(target)
            return {}

        def make_hold_out(target: Path, _: Path) -> dict[str, Any]:
            refreshed()[1].save(target)
            return {}

        catalog = produce(recipe, make_catalog, context.workspace)
        apart = replace(recipe, kind=held_out.KIND, part="hold-out")
        return catalog, produce(apart, make_hold_out, context.workspace)


def _saved_catalog(catalog: str, workspace: Path) -> Path:
    """The folder of the saved catalog; one from a store is an output of its own, so that it is tidied like all."""
    if not is_store_uri(catalog):
        if not is_catalog(Path(catalog)):
            raise DataError(f"{catalog} is not a saved catalog, as `gream data --out` or a run's folder has it.")
        verify_artifact(Path(catalog), KIND)
        return Path(catalog)
    from gream.objectstore import artifact_version, fetch_artifact

    pinned = ArtifactUri.parse(catalog).pin(artifact_version(catalog))

    def make(target: Path, work: Path) -> dict[str, Any]:
        shutil.copytree(fetch_artifact(pinned, work / "fetched"), target, copy_function=link_or_copy)
        return {}

    settings = {"catalog": artifact_version(pinned)}
    recipe = Recipe(stage="refresh", kind=KIND, settings=settings, seed=0, inputs={}, code=CODE, part="catalog")
    return produce(recipe, make, workspace)


def _arrived_since(evidence: Path, until: int) -> str:
    """What helps where the feedback that is missed came later, such as a minute ago; from a store it is not pulled."""
    window = Window(until, max(until, int(time.time())) + 1)
    taken = read_feedback(evidence, window).events.filter(pl.col("kind").is_in(TAKEN))
    if taken.is_empty():
        return ""
    remedy = "those of known items count with a later --until (default: the last full hour)"
    return f" Clicks and purchases that have arrived since: {taken.height:,}; {remedy}."


@contextmanager
def _evidence(data: FreshData, since: int, workspace: Path) -> Iterator[tuple[Path, Window | None]]:
    """The folder of the evidence, and when its fresh feedback arrived; None where the catalog reaches to the end.

    What comes from a store is this run's alone for that long: another run deletes there what is too old for itself.
    """
    window = Window(since, data.cut.until) if since < data.cut.until else None
    if not is_store_uri(data.evidence):
        yield Path(data.evidence), window
        return
    from gream.monitoring.feedback_store import pull_feedback

    folder = workspace / "evidence" / hashlib.sha256(data.evidence.encode()).hexdigest()[:12]
    with locked(folder.with_suffix(".lock")):
        if window:
            pull_feedback(data.evidence, window, folder)
        yield folder, window
