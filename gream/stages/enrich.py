"""Stage 2: one text profile for each item."""

from pathlib import Path
from typing import Any, Final

from gream.data.catalog import Catalog
from gream.enrichment.enrich import enrich_catalog
from gream.enrichment.profiles import KIND
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("enrichment", "prompts")
REPLIES: Final = "llm-replies.sqlite"
"""In the workspace: every answer of a language model, for all runs and stages, so that none is paid for twice."""


def run(catalog: Path, context: RunContext) -> Path:
    """The folder of the item profiles.

    Raises:
        ConfigError: an endpoint is asked for and not configured.
        EnrichmentError: the endpoint failed for good, or the budget is spent; the next attempt continues.
    """
    config = context.profile.enrichment
    recipe = Recipe(
        stage="enrich",
        kind=KIND,
        settings={"enrichment": config.model_dump()},
        seed=context.seed,
        inputs={"catalog": catalog},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        enrich_catalog(Catalog.load(catalog), config, context.workspace / REPLIES).save(target)
        return {}

    return produce(recipe, make, context.workspace)
