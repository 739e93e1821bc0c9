"""KFP component `compare`: the variants of an experiment beside each other."""

from kfp.dsl import HTML, Artifact, Input, Metrics, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def compare(
    trials: Input[list[Artifact]],
    report: Output[HTML],
    comparison: Output[Artifact],
    metrics: Output[Metrics],
    profile: str,
    overrides: list[str],
) -> None:
    """Compare all variants with the first, by user and seed.

    Args:
        trials: from `trial`.
        report: one self-contained page.
        comparison: the same as JSON.
        metrics: each variant's means; they appear in the UI.
        profile: name of a profile, or the path of a TOML file.
        overrides: settings that all variants share.
    """
    from pathlib import Path

    from gream.evaluation.experiment import compare as put_beside
    from gream.evaluation.experiment_page import render_comparison
    from gream.evaluation.trials import Trial
    from gream.profile_files import load_profile

    resamples = load_profile(profile, overrides).evaluation.bootstrap_resamples
    made = put_beside([Trial.load(Path(one.path)) for one in trials], resamples)
    Path(report.path).write_text(render_comparison(made), encoding="utf-8")
    Path(comparison.path).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for variant in made.variants:
        for name, interval in variant.values.items():
            metrics.log_metric(f"{variant.name}: {name}", interval.value)
