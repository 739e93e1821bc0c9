"""KFP component `index`: the vectors of item texts become index tokens."""

from kfp.dsl import Artifact, Dataset, Input, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def index(
    catalog: Input[Dataset],
    item_profiles: Input[Dataset],
    item_vectors: Input[list[Artifact]],
    semantic_index: Output[Artifact],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Quantise the vectors of the items with balanced residual k-means.

    Args:
        catalog: from `ingest`.
        item_profiles: from `enrich`.
        item_vectors: from `encode_share`, one for each share.
        semantic_index: item to index tokens and back, codebooks, collision audit.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.stages import index as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        Path(item_profiles.path),
        open_run(profile, overrides, seed, workspace),
        [Path(share.path) for share in item_vectors],
    )
    semantic_index.metadata.update(deliver(made, semantic_index.path))
