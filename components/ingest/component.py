"""KFP component `ingest`: the user's tables become a catalog."""

from kfp.dsl import Dataset, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def ingest(
    catalog: Output[Dataset],
    data: str,
    seen_items: str,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Read interactions and items, filter them (k-core), and write one catalog.

    Args:
        catalog: two tables, interactions and items, with counts and provenance.
        data: `movielens-100k`, or a folder: a saved catalog, raw Amazon dumps, NAME.inter.json + NAME.item.json, or
            interactions and items as CSV, TSV or Parquet.
        seen_items: protocol of the ranking: `as-dataset`, `exclude` items of the history, or `keep` them.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from gream.stages import ingest as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(data, seen_items, open_run(profile, overrides, seed, workspace))
    catalog.metadata.update(deliver(made, catalog.path))
