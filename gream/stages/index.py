"""Stage 3: item texts become index tokens.

Encoding the texts may be done apart, by several machines with accelerators; clustering wants one with many cores.

A retraining gives the champion's index: items that it has keep their tokens, and new ones get theirs from its frozen
codebooks. Where too many items would collide, or the codebooks have no room, the whole catalogue is indexed anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gream.artifacts import file_digest
from gream.corpora.replay import Replay, replay_split
from gream.data.catalog import Catalog
from gream.data.split import Split
from gream.enrichment.profiles import ItemProfiles
from gream.indexing import vectors as item_vectors
from gream.indexing.collision_limit import COLLISION_LIMIT, collisions_allowed, rate_as_made, with_audit
from gream.indexing.semantic_index import KIND, OutgrownError, SemanticIndex
from gream.share import Share
from gream.stages.shares import check_shares
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("indexing", "corpora/replay.py", "data/assembly.py", "data/catalog.py", "data/split.py")


def run(catalog: Path, item_profiles: Path, context: RunContext, vectors: Sequence[Path] = ()) -> Path:
    """The folder of the semantic index.

    Args:
        catalog: from `gream.stages.ingest`.
        item_profiles: from `gream.stages.enrich`.
        context: the run.
        vectors: from `encode`, one for each share; without any, the texts are encoded here.

    Raises:
        ConfigError: the encoder cannot be loaded, or the codebooks do not fit the catalogue.
        DataError: a published index cannot be read, or does not fit the catalogue.
        ArtifactError: the vectors are of something else.
    """
    recipe = _recipe(catalog, item_profiles, context)

    def make(target: Path, _: Path) -> dict[str, Any]:
        encoded = None
        if vectors:
            check_shares(vectors, lambda share: _vectors_recipe(catalog, item_profiles, share, context))
            encoded = item_vectors.ItemVectors.load(vectors)
        _build(catalog, item_profiles, context, encoded).save(target)
        return {}

    return produce(recipe, make, context.workspace)


def update(catalog: Path, item_profiles: Path, base: Path, context: RunContext) -> Path:
    """The folder of the semantic index of a retraining; `stage_facts` of it say why it was indexed anew, if it was.

    Args:
        catalog: from `gream.stages.refresh`.
        item_profiles: from `gream.stages.enrich`.
        base: folder of the champion's index.
        context: the run.

    Raises:
        ConfigError: an encoder cannot be loaded, or the codebooks do not fit the catalogue.
    """
    plain = _recipe(catalog, item_profiles, context)
    recipe = replace(plain, inputs={**plain.inputs, "base": base}, part="onto the champion's")

    def make(target: Path, _: Path) -> dict[str, Any]:
        # Imported late: a stage that is done already should not wait for torch.
        from gream.indexing.extend import can_grow, extend_index

        old = SemanticIndex.load(base)
        try:
            if not can_grow(old):
                raise OutgrownError("the champion's index was imported and cannot take new items.")
            index, audit = extend_index(old, Catalog.load(catalog), ItemProfiles.load(item_profiles).texts)
            limit = collisions_allowed(COLLISION_LIMIT, rate_as_made(old))
            if audit.collision_rate >= limit:
                raise OutgrownError(
                    f"{audit.collision_rate:.1%} of the items would share all codes with another; the limit is "
                    f"{limit:.1%}."
                )
        except OutgrownError as reason:
            recipe.say(f"indexed anew: {reason}")
            # What the training that follows is to be trained on; of a retraining nothing is left for a test.
            split = replay_split(Catalog.load(catalog), Replay.anew(), context.seed)
            _build(catalog, item_profiles, context, split=split).save(target)
            return {"anew": str(reason)}
        with_audit(index, audit).save(target)
        return {"anew": None}

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


def _build(
    catalog: Path,
    item_profiles: Path,
    context: RunContext,
    encoded: item_vectors.ItemVectors | None = None,
    split: Split | None = None,
) -> SemanticIndex:
    # Imported late: a stage that is done already should not wait for torch.
    from gream.indexing.build import build_index
    from gream.indexing.published import published_index

    texts, config = ItemProfiles.load(item_profiles).texts, context.profile.index
    if config.published:
        return with_audit(*published_index(Path(config.published), Catalog.load(catalog), texts))
    return with_audit(*build_index(Catalog.load(catalog), texts, config, context.seed, encoded, split))


def _recipe(catalog: Path, item_profiles: Path, context: RunContext) -> Recipe:
    config = context.profile.index
    published = Path(config.published)
    return Recipe(
        stage="index",
        kind=KIND,
        settings={
            "index": config.model_dump(exclude={"published"}),
            # By content, since a file may change under its name; one that is not there is named when it is read.
            "published": file_digest(published) if published.is_file() else config.published,
        },
        seed=context.seed,
        inputs={"catalog": catalog, "item_profiles": item_profiles},
        code=CODE,
    )


def _vectors_recipe(catalog: Path, item_profiles: Path, share: Share, context: RunContext) -> Recipe:
    return Recipe(
        stage="index",
        kind=item_vectors.KIND,
        settings={
            "index": context.profile.index.model_dump(include={"encoder", "encoder_batch", "encoder_max_tokens"})
        },
        seed=0,  # Nothing is drawn: runs of all seeds share the vectors.
        inputs={"catalog": catalog, "item_profiles": item_profiles},
        code=(
            *("data/assembly.py", "data/catalog.py"),
            *("indexing/build.py", "indexing/encoder.py", "indexing/vectors.py"),
        ),
        part="vectors" if share.is_whole else f"vectors, {share}",
    )
