"""KFP component `enrich`: one text profile for each item, put together from shares."""

from kfp.dsl import Dataset, Input, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def enrich(
    catalog: Input[Dataset],
    shares: Input[list[Dataset]],
    item_profiles: Output[Dataset],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Put the profiles of all shares together.

    Args:
        catalog: from `ingest`.
        shares: from `enrich_share`, one for each share.
        item_profiles: item id, profile text and its source.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.stages import enrich as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        open_run(profile, overrides, seed, workspace),
        [Path(share.path) for share in shares],
    )
    item_profiles.metadata.update(deliver(made, item_profiles.path))
