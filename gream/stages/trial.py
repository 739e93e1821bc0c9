"""What an experiment keeps of a run: read off its evaluation and the log of its training."""

from collections.abc import Sequence
from pathlib import Path

from gream.evaluation.results import Metrics
from gream.evaluation.trials import Trial, TrialFacts, training_signs
from gream.evaluation.user_values import UserValues
from gream.stages.evaluate import METRICS, USERS, training_log


def make_trial(policy: Path, evaluation: Path, variant: str, own: Sequence[str], seed: int) -> Trial:
    """The trial of a variant.

    Args:
        policy: from `gream.stages.srpo`.
        evaluation: from `gream.stages.evaluate`.
        variant: its name.
        own: settings by which it differs from the others.
        seed: of the run.

    Raises:
        ArtifactError: a folder is not what it should be.
    """
    facts = TrialFacts(
        variant=variant,
        overrides=tuple(own),
        seed=seed,
        collision_rate=Metrics.load(evaluation / METRICS).index.collision_rate,
        training=training_signs(training_log(policy)),
    )
    return Trial(facts, UserValues.load(evaluation / USERS))
