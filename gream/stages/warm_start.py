"""Whether a retraining goes on from the champion's weights, and under which profile.

It does where the index still speaks the champion's language: the same codebooks, the same tokens for the items that the
champion knows. Where the catalogue was indexed anew, the weights say nothing about the new tokens: then the training is
that of the whole profile, from its backbone.
"""

from pathlib import Path

from gream.config import Profile
from gream.indexing.same_language import speaks_like
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX
from gream.stages.store import RunContext


def is_warm(semantic_index: Path, champion: Path | None) -> bool:
    """Whether training goes on from the champion.

    Args:
        semantic_index: of the run.
        champion: the bundle; None in a training run.
    """
    return champion is not None and speaks_like(
        SemanticIndex.load(semantic_index), SemanticIndex.load(champion / INDEX)
    )


def training_profile(context: RunContext, warm: bool) -> Profile:
    """The profile that a run trains under."""
    return context.profile.for_retraining() if warm else context.profile
