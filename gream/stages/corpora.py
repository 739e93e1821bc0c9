"""Stage 4: what the policy is trained on."""

from pathlib import Path
from typing import Any, Final

from gream.corpora.build import KIND, build_corpus
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.enrichment.client import LlmClient
from gream.enrichment.profiles import ItemProfiles
from gream.indexing.semantic_index import SemanticIndex
from gream.stages.enrich import REPLIES
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("corpora", "prompts", "data/split.py", "indexing/tokens.py", "enrichment")


def run(catalog: Path, item_profiles: Path, semantic_index: Path, context: RunContext) -> Path:
    """The folder of the corpus.

    Raises:
        ConfigError: a teacher is asked for and its endpoint is not configured.
        EnrichmentError: the endpoint failed for good, or the budget is spent; the next attempt continues.
    """
    profile = context.profile
    settings = {"corpus": profile.corpus.model_dump()}
    if profile.corpus.teacher == "openai":
        settings["enrichment"] = profile.enrichment.model_dump()
    recipe = Recipe(
        stage="corpora",
        kind=KIND,
        settings=settings,
        seed=context.seed,
        inputs={"catalog": catalog, "item_profiles": item_profiles, "semantic_index": semantic_index},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        shop = Catalog.load(catalog)
        model = None
        if profile.corpus.teacher == "openai":
            model = LlmClient(profile.enrichment, context.workspace / REPLIES)
        corpus = build_corpus(
            shop,
            leave_last_one_out(shop),
            ItemProfiles.load(item_profiles).texts,
            SemanticIndex.load(semantic_index),
            profile.corpus,
            context.seed,
            model,
        )
        corpus.save(target)
        return {}

    return produce(recipe, make, context.workspace)
