"""Stage 3: item texts become index tokens.

Encoding the texts may be done apart, by several machines with accelerators; clustering wants one with many cores.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gream.data.catalog import Catalog
from gream.enrichment.profiles import ItemProfiles
from gream.indexing import vectors as item_vectors
from gream.indexing.semantic_index import KIND
from gream.share import Share
from gream.stages.shares import check_shares
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("indexing", "data/split.py")
AUDIT: Final = "audit"
"""Entry of the index's facts that holds its collision audit, so that it travels with the index."""


def run(catalog: Path, item_profiles: Path, context: RunContext, vectors: Sequence[Path] = ()) -> Path:
    """The folder of the semantic index.

    Args:
        catalog: from `gream.stages.ingest`.
        item_profiles: from `gream.stages.enrich`.
        context: the run.
        vectors: from `encode`, one for each share; without any, the texts are encoded here.

    Raises:
        ConfigError: the encoder cannot be loaded, or the codebooks do not fit the catalogue.
        ArtifactError: the vectors are of something else.
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

        encoded = None
        if vectors:
            check_shares(vectors, lambda share: _vectors_recipe(catalog, item_profiles, share, context))
            encoded = item_vectors.ItemVectors.load(vectors)
        texts = ItemProfiles.load(item_profiles).texts
        index, audit = build_index(Catalog.load(catalog), texts, config, context.seed, encoded)
        replace(index, facts={**index.facts, AUDIT: audit.to_dict()}).save(target)
        return {}

    return produce(recipe, make, context.workspace)


def encode(catalog: Path, item_profiles: Path, share: Share, context: RunContext) -> Path:
    """The folder of one share of the encoder's vectors.

    Raises:
        ConfigError: the encoder cannot be loaded.
    """

    def make(target: Path, _: Path) -> dict[str, Any]:
        from gream.indexing.build import encode_items

        texts = ItemProfiles.load(item_profiles).texts
        encode_items(Catalog.load(catalog), texts, context.profile.index, share).save(target)
        return {}

    return produce(_vectors_recipe(catalog, item_profiles, share, context), make, context.workspace)


def _vectors_recipe(catalog: Path, item_profiles: Path, share: Share, context: RunContext) -> Recipe:
    return Recipe(
        stage="index",
        kind=item_vectors.KIND,
        settings={
            "index": context.profile.index.model_dump(include={"encoder", "encoder_batch", "encoder_max_tokens"})
        },
        seed=0,  # Nothing is drawn: runs of all seeds share the vectors.
        inputs={"catalog": catalog, "item_profiles": item_profiles},
        code=("indexing/encoder.py", "indexing/vectors.py", "indexing/build.py"),
        part="vectors" if share.is_whole else f"vectors, {share}",
    )
