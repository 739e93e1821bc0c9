"""KFP component `index_whole`: item texts become index tokens in one step, without shares."""

from kfp.dsl import Artifact, Dataset, Input, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def index_whole(
    catalog: Input[Dataset],
    item_profiles: Input[Dataset],
    semantic_index: Output[Artifact],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Encode the items and quantise their vectors with balanced residual k-means.

    Args:
        catalog: from `ingest`.
        item_profiles: from `enrich_share`, of all items.
        semantic_index: item to index tokens and back, codebooks, collision audit.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.stages import index as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(Path(catalog.path), Path(item_profiles.path), open_run(profile, overrides, seed, workspace))
    semantic_index.metadata.update(deliver(made, semantic_index.path))
