"""Stage 4: what the policy is trained on."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gream.corpora.build import KIND, build_corpus
from gream.corpora.replay import Replay, training_split
from gream.data.catalog import Catalog
from gream.enrichment.client import LlmClient
from gream.enrichment.profiles import ItemProfiles
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import read_facts
from gream.stages.enrich import REPLIES
from gream.stages.store import Recipe, RunContext, produce
from gream.stages.warm_start import is_warm, training_profile

CODE: Final = (
    *("corpora", "data/assembly.py", "data/catalog.py", "data/split.py", "enrichment"),
    *("indexing/semantic_index.py", "indexing/tokens.py", "prompts"),
)


def run(
    catalog: Path, item_profiles: Path, semantic_index: Path, context: RunContext, champion: Path | None = None
) -> Path:
    """The folder of the corpus.

    Args:
        catalog: from `gream.stages.ingest` or `gream.stages.refresh`.
        item_profiles: from `gream.stages.enrich`.
        semantic_index: from `gream.stages.index`.
        context: the run.
        champion: of a retraining, which trains on whole histories; where it goes on from this policy, older data are
            replayed, not repeated.

    Raises:
        ConfigError: a teacher is asked for and its endpoint is not configured.
        EnrichmentError: the endpoint failed for good, or the budget is spent (the next attempt continues); or of many
            chains none passed the checks.
    """
    warm = is_warm(semantic_index, champion)
    profile = training_profile(context, warm)
    settings: dict[str, Any] = {"corpus": profile.corpus.model_dump()}
    if profile.corpus.teacher == "openai":
        settings["enrichment"] = profile.enrichment.model_dump()
    replay = None
    if champion is not None:
        replay = _onto(champion, profile.retrain.replay_share) if warm else Replay.anew()
        settings["replay"] = replay.model_dump()
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
            training_split(shop, replay, context.seed),
            ItemProfiles.load(item_profiles).texts,
            SemanticIndex.load(semantic_index),
            profile.corpus,
            context.seed,
            model,
        )
        recipe.say(corpus.facts.chains.words())
        replace(corpus, facts=corpus.facts.model_copy(update={"replay": replay})).save(target)
        return {}

    return produce(recipe, make, context.workspace)


def _onto(champion: Path, share: float) -> Replay:
    facts = read_facts(champion)
    return Replay(share=share, trained_until=facts.trained_until, held_out=facts.held_out)
