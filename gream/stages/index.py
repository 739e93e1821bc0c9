"""Stage 3: item texts become index tokens."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gream.data.catalog import Catalog
from gream.enrichment.profiles import ItemProfiles
from gream.indexing.semantic_index import KIND
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("indexing", "data/split.py")
AUDIT: Final = "audit"
"""Entry of the index's facts that holds its collision audit, so that it travels with the index."""


def run(catalog: Path, item_profiles: Path, context: RunContext) -> Path:
    """The folder of the semantic index.

    Raises:
        ConfigError: the encoder cannot be loaded, or the codebooks do not fit the catalogue.
    """
    config = context.profile.index
    recipe = Recipe(
        stage="index",
        kind=KIND,
        settings={"index": config.model_dump()},
        seed=context.seed,
        inputs={"catalog": catalog, "item_profiles": item_profiles},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        # Imported late: a stage that is done already should not wait for torch.
        from gream.indexing.build import build_index

        texts = ItemProfiles.load(item_profiles).texts
        index, audit = build_index(Catalog.load(catalog), texts, config, context.seed)
        replace(index, facts={**index.facts, AUDIT: audit.to_dict()}).save(target)
        return {}

    return produce(recipe, make, context.workspace)
