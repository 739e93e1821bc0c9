"""KFP component `enrich_share`: the text profiles of one share of the items."""

from kfp.dsl import Dataset, Input, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def enrich_share(
    catalog: Input[Dataset],
    item_profiles: Output[Dataset],
    share: int,
    shares: int,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Fuse the title, description and reviews of each item of a share into one profile, by an LLM or by a template.

    Args:
        catalog: from `ingest`.
        item_profiles: item id, profile text and its source, for the items of the share.
        share: its number, from 0.
        shares: how many there are.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.share import Share
    from gream.stages import enrich as stage
    from gream.stages.store import deliver, open_run

    run = open_run(profile, overrides, seed, workspace)
    made = stage.run_share(Path(catalog.path), Share(share, shares), run)
    item_profiles.metadata.update(deliver(made, item_profiles.path))
