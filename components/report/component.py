"""KFP component `report`: the run as a page for people and numbers for programs."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def report(
    catalog: Input[Dataset],
    semantic_index: Input[Artifact],
    sft_policy: Input[Model],
    policy: Input[Model],
    evaluation: Input[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Write the report with plots, and metrics.json.

    Args:
        catalog: from `ingest`.
        semantic_index: from `index`; its collision audit is shown.
        sft_policy: from `sft`; its training curve is shown.
        policy: from `srpo`; its training curves are shown.
        evaluation: from `evaluate`.
        report: one self-contained page.
        metrics: metrics.json; the headline numbers also appear in the UI.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    import shutil
    from pathlib import Path

    from gream.stages import report as stage
    from gream.stages.store import open_run

    made = stage.run(
        Path(catalog.path),
        Path(semantic_index.path),
        Path(sft_policy.path),
        Path(policy.path),
        Path(evaluation.path),
        open_run(profile, overrides, seed, workspace),
    )
    shutil.copyfile(made / stage.PAGE, report.path)
    shutil.copyfile(made / stage.METRICS, metrics.path)
    for name, value in stage.headline(made).items():
        metrics.log_metric(name, value)
