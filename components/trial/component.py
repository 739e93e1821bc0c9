"""KFP component `trial`: what one variant of an experiment has come to under one seed."""

from kfp.dsl import Artifact, Input, Model, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def trial(
    policy: Input[Model],
    evaluation: Input[Artifact],
    trial: Output[Artifact],
    variant: str,
    own: list[str],
    seed: int,
) -> None:
    """Keep what the variants are compared by.

    Args:
        policy: from `srpo`; its training log is read.
        evaluation: from `evaluate`.
        trial: values of each test user, and signs of the training's health.
        variant: its name.
        own: settings by which it differs from the others.
        seed: of the run.
    """
    from pathlib import Path

    from gream.stages.trial import make_trial

    made = make_trial(Path(policy.path), Path(evaluation.path), variant, own, seed)
    made.save(Path(trial.path))
