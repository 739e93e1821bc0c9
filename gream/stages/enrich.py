"""Stage 2: one text profile for each item."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gream.data.catalog import Catalog
from gream.enrichment.enrich import enrich_catalog
from gream.enrichment.profiles import KIND, ItemProfiles
from gream.share import WHOLE, Share
from gream.stages.shares import check_shares
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("enrichment", "prompts", "data/assembly.py", "data/catalog.py", "data/split.py")
REPLIES: Final = "llm-replies.sqlite"
"""In the workspace: every answer of a language model, for all runs and stages, so that none is paid for twice. Where a
pod's workspace is on no volume it goes with the pod: a mirror (`gream.stages.mirror`) has no copy of it."""


def run(catalog: Path, context: RunContext, shares: Sequence[Path] = ()) -> Path:
    """The folder of the item profiles.

    Args:
        catalog: from `gream.stages.ingest`.
        context: the run.
        shares: from `run_share`, one for each share; without any, the work is done here.

    Raises:
        ConfigError: an endpoint is asked for and not configured.
        EnrichmentError: the endpoint failed for good, or the budget is spent; the next attempt continues, with a larger
            budget where that is spent, as long as the workspace has the answers (`REPLIES`).
        ArtifactError: the shares are of something else.
    """
    if not shares:
        return run_share(catalog, WHOLE, context)

    def make(target: Path, _: Path) -> dict[str, Any]:
        check_shares(shares, lambda share: _recipe(catalog, share, context))
        ItemProfiles.join([ItemProfiles.load(folder) for folder in shares]).save(target)
        return {}

    return produce(_recipe(catalog, WHOLE, context), make, context.workspace)


def run_share(catalog: Path, share: Share, context: RunContext) -> Path:
    """The folder of the profiles of one share of the items; raises what `run` does."""

    def make(target: Path, _: Path) -> dict[str, Any]:
        config = context.profile.enrichment
        enrich_catalog(Catalog.load(catalog), config, context.workspace / REPLIES, share).save(target)
        return {}

    return produce(_recipe(catalog, share, context), make, context.workspace)


def _recipe(catalog: Path, share: Share, context: RunContext) -> Recipe:
    return Recipe(
        stage="enrich",
        kind=KIND,
        settings={"enrichment": context.profile.enrichment.model_dump()},
        seed=0,  # Nothing is drawn: runs of all seeds share the profiles.
        inputs={"catalog": catalog},
        code=CODE,
        part="" if share.is_whole else str(share),
    )
