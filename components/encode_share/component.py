"""KFP component `encode_share`: item texts become vectors, one share of them."""

from kfp.dsl import Artifact, Dataset, Input, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def encode_share(
    catalog: Input[Dataset],
    item_profiles: Input[Dataset],
    item_vectors: Output[Artifact],
    share: int,
    shares: int,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Encode item titles and profiles, every so many-th batch of them.

    Args:
        catalog: from `ingest`.
        item_profiles: from `enrich`.
        item_vectors: the encoder's vectors of the share.
        share: its number, from 0.
        shares: how many there are.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.share import Share
    from gream.stages import index as stage
    from gream.stages.store import deliver, open_run

    run = open_run(profile, overrides, seed, workspace)
    made = stage.encode(Path(catalog.path), Path(item_profiles.path), Share(share, shares), run)
    item_vectors.metadata.update(deliver(made, item_vectors.path))
