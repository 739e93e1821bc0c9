"""KFP component `extend`: the champion with more items."""

from kfp.dsl import Dataset, Input, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def extend(
    catalog: Input[Dataset],
    item_profiles: Input[Dataset],
    champion: Input[Model],
    policy: Output[Model],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Index the items that the champion lacks by its frozen codebooks, and train nothing.

    Args:
        catalog: from `refresh`.
        item_profiles: from `enrich`.
        champion: from `champion`.
        policy: the champion's weights with the larger index and table of items.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.stages import extend as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        Path(item_profiles.path),
        Path(champion.path),
        open_run(profile, overrides, seed, workspace),
    )
    policy.metadata.update(deliver(made, policy.path))
