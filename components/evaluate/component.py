"""KFP component `evaluate`: both policies and the baselines on the held-out items."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def evaluate(
    catalog: Input[Dataset],
    sft_policy: Input[Model],
    policy: Input[Model],
    evaluation: Output[Artifact],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Rank all items for each test user, in direct and reasoning mode, beside the baselines.

    Args:
        catalog: from `ingest`.
        sft_policy: from `sft`, to show what reinforcement learning changed.
        policy: from `srpo`.
        evaluation: metrics with intervals, and example users.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.stages import evaluate as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        Path(sft_policy.path),
        Path(policy.path),
        open_run(profile, overrides, seed, workspace),
    )
    evaluation.metadata.update(deliver(made, evaluation.path))
