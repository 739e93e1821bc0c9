"""KFP component `report`: the run as a page for people, numbers for programs, and the policy that carries them."""

from kfp.dsl import HTML, Artifact, Input, Metrics, Model, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def report(
    sft_policy: Input[Model],
    policy: Input[Model],
    evaluation: Input[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    evaluated_policy: Output[Model],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Write the report with plots, metrics.json, and the policy with its metrics.

    Args:
        sft_policy: from `sft`; its training curve is shown.
        policy: from `srpo`; its training curves are shown.
        evaluation: from `evaluate`.
        report: one self-contained page.
        metrics: metrics.json; the headline numbers also appear in the UI.
        evaluated_policy: the policy bundle with its metrics in its facts and on its model card.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    import shutil
    from pathlib import Path

    from gream.policy.bundle import add_metrics
    from gream.stages import report as stage
    from gream.stages.store import open_run

    made = stage.run(
        Path(sft_policy.path),
        Path(policy.path),
        Path(evaluation.path),
        open_run(profile, overrides, seed, workspace),
    )
    shutil.copyfile(made / stage.PAGE, report.path)
    shutil.copyfile(made / stage.METRICS, metrics.path)
    headline = stage.headline(made)
    for name, value in headline.items():
        metrics.log_metric(name, value)
    add_metrics(Path(policy.path), Path(evaluated_policy.path), headline)
