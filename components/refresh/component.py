"""KFP component `refresh`: the catalog with the feedback since, and a hold-out."""

from kfp.dsl import Dataset, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def refresh(
    catalog: Output[Dataset],
    hold_out: Output[Dataset],
    data: str,
    evidence: str,
    items: str,
    hold_out_since: int,
    until: int,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Add fresh clicks and purchases to a catalog, and keep the latest of them from training.

    Args:
        catalog: what trains, and all items.
        hold_out: for each user who came back after the cut, the history and the first item since.
        data: folder of a saved catalog, or s3://BUCKET/PREFIX of a published one.
        evidence: folder or s3://BUCKET/PREFIX of what serving wrote.
        items: table of new items (CSV, TSV, Parquet), or empty.
        hold_out_since: from here on events are held out, in seconds since 1970 (UTC).
        until: evidence that arrived earlier counts, in seconds since 1970 (UTC).
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from gream.data.fresh import Cut
    from gream.stages import refresh as stage
    from gream.stages.store import deliver, open_run

    fresh = stage.FreshData(data, evidence, items, Cut(hold_out_since, until))
    made, held = stage.run(fresh, open_run(profile, overrides, seed, workspace))
    catalog.metadata.update(deliver(made, catalog.path))
    hold_out.metadata.update(deliver(held, hold_out.path))
