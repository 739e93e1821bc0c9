"""Stage 1: the user's tables become a catalog."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gream.data.catalog import KIND
from gream.data.importers import import_catalog
from gream.data.scarcity import remove_texts
from gream.data.tables import ColumnMapping
from gream.errors import ConfigError
from gream.objectstore.uri import ArtifactUri, is_store_uri
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("data", "columns.py")
SEEN_ITEMS: Final = {"as-dataset": None, "exclude": True, "keep": False}


def run(source: str, seen_items: str, context: RunContext) -> Path:
    """The folder of the catalog.

    Args:
        source: what `gream.data.importers.import_catalog` understands, or the `s3://bucket/prefix` of a published
            catalog. A folder counts as unchanged while its files keep their names, sizes and modification times.
        seen_items: a key of `SEEN_ITEMS`: the protocol that comes with the dataset, or one of the two others.
        context: the run.

    Raises:
        ConfigError: `seen_items` is something else.
        DataError: the source cannot be read as a catalog.
        StoreError: the S3 store does not answer or refuses, or nothing is published there.
    """
    if seen_items not in SEEN_ITEMS:
        raise ConfigError(f"seen_items = {seen_items!r} is not allowed; allowed are {', '.join(SEEN_ITEMS)}.")
    config, exclude_seen = context.profile.data, SEEN_ITEMS[seen_items]
    source = _pinned(source)
    recipe = Recipe(
        stage="ingest",
        kind=KIND,
        settings={"data": config.model_dump(), "seen_items": seen_items, "source": _identity(source)},
        seed=context.seed if config.texts_removed else 0,  # Nothing else is drawn.
        inputs={},
        code=CODE,
    )

    def make(target: Path, work: Path) -> dict[str, Any]:
        mapping = ColumnMapping.model_validate(config.columns) if config.columns else None
        catalog = import_catalog(_local(source, work), k_core=config.k_core, mapping=mapping)
        if exclude_seen is not None:
            facts = catalog.facts.model_copy(update={"exclude_seen": exclude_seen})
            catalog = replace(catalog, facts=facts)
        if config.texts_removed:
            catalog = remove_texts(catalog, config.texts_removed, context.seed)
        catalog.save(target)
        return {}

    return produce(recipe, make, context.workspace)


def _pinned(source: str) -> str:
    """A place in an S3 store with the version that is published there now: what is fetched later is what was named."""
    if not is_store_uri(source):
        return source
    from gream.objectstore import artifact_version

    return ArtifactUri.parse(source).pin(artifact_version(source))


def _local(source: str, work: Path) -> str | Path:
    if not is_store_uri(source):
        return source
    from gream.objectstore import fetch_artifact

    return fetch_artifact(source, work / "source")


def _identity(source: str) -> str | list[tuple[str, int, int]]:
    if is_store_uri(source):
        return f"artifact {ArtifactUri.parse(source).digest}"
    folder = Path(source)
    if not folder.is_dir():
        return source
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
