"""KFP component `update_index`: the champion's index for today's catalogue, or a new one."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def update_index(
    catalog: Input[Dataset],
    item_profiles: Input[Dataset],
    champion: Input[Model],
    semantic_index: Output[Artifact],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Add new items from the champion's frozen codebooks; index everything anew where these no longer do.

    Args:
        catalog: from `refresh`.
        item_profiles: from `enrich`.
        champion: from `champion`; its index is gone out from.
        semantic_index: item to index tokens and back, codebooks, collision audit.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.policy.bundle import INDEX
    from gream.stages import index as stage
    from gream.stages.store import deliver, open_run

    made = stage.update(
        Path(catalog.path),
        Path(item_profiles.path),
        Path(champion.path) / INDEX,
        open_run(profile, overrides, seed, workspace),
    )
    semantic_index.metadata.update(deliver(made, semantic_index.path))
