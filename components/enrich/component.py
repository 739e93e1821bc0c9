"""KFP component `enrich`: one text profile for each item."""

from kfp.dsl import Dataset, Input, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def enrich(
    catalog: Input[Dataset],
    item_profiles: Output[Dataset],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Fuse each item's title, description and reviews into one profile, by an LLM or by a template.

    Args:
        catalog: from `ingest`.
        item_profiles: item id, profile text and its source.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from pathlib import Path

    from gream.stages import enrich as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(Path(catalog.path), open_run(profile, overrides, seed, workspace))
    item_profiles.metadata.update(deliver(made, item_profiles.path))
