"""`gream run`, `gream experiment`, `gream retrain`: the pipelines on this machine.

Found through the entry-point group `gream.commands`.
"""

import time
from pathlib import Path
from typing import Any

import click

from gream.cli import profile_options, run_options

HOUR = 3_600


@click.command()
@run_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    help="Folder that receives the run's folder, and `latest`.",
)
@click.option("--shares", default=1, show_default=True, help="In how many parts item texts are enriched and encoded.")
@click.option(
    "--publish",
    metavar="s3://BUCKET/PREFIX",
    help="Publish the finished run's policy, catalog, report and metrics to an S3 store.",
)
def run(workspace: str, overrides: tuple[str, ...], publish: str | None, **options: Any) -> None:
    """Run the whole training pipeline on this machine.

    A run that was stopped continues where it was when the same command is given again.
    """
    from gream.evaluation.results import Metrics
    from gream.evaluation.summary import summary_table
    from pipelines.local import LocalRun, run_locally
    from pipelines.publish import publish_run, require_store

    if publish is not None:
        require_store(publish)
    folder = run_locally(LocalRun(workspace=Path(workspace), overrides=overrides, **options))
    click.echo(summary_table(Metrics.load(folder / "metrics.json")))
    click.echo(f"\n{folder}: metrics.json, report.html, policy/, catalog/, run.log")
    click.echo(f"Serve it at http://127.0.0.1:3000: gream serve --policy {folder}/policy (from a clone: make serve)")
    if publish is not None:
        click.echo(publish_run(folder, publish))


@click.command()
@run_options
@click.option(
    "--variant",
    "variants",
    multiple=True,
    required=True,
    metavar='"NAME: SECTION.KEY=VALUE ..."',
    help="Settings to try, under a name; the others are compared with the first. May be repeated.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many seeds each variant is run with: --seed and the next ones.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="runs/experiments",
    show_default=True,
    help="Folder that receives the experiment's folder, and `latest`.",
)
def experiment(
    variants: tuple[str, ...], seeds: int, seed: int, overrides: tuple[str, ...], workspace: str, **options: Any
) -> None:
    """Run variants of a training on this machine, and compare them user by user.

    What variants share, an index for instance, is made once. An experiment that was stopped continues where it was.
    """
    from gream.evaluation.experiment_page import comparison_table
    from pipelines.local_experiment import ExperimentRequest, run_experiment

    folder, comparison = run_experiment(
        ExperimentRequest(
            variants=variants,
            seeds=tuple(range(seed, seed + seeds)),
            overrides=overrides,
            workspace=Path(workspace),
            **options,
        )
    )
    click.echo(comparison_table(comparison))
    click.echo(f"\n{folder}: comparison.json, comparison.html, run.log")


@click.command()
@click.option("--champion", default="runs/champion", show_default=True, help="Folder or s3://BUCKET/PREFIX.")
@click.option(
    "--data",
    default="runs/latest/catalog",
    show_default=True,
    help="The shop's catalog: folder of a saved one, or s3://BUCKET/PREFIX of a published one.",
)
@click.option(
    "--evidence", default="runs/serving/evidence", show_default=True, help="What serving wrote: folder or s3://..."
)
@click.option("--until", type=int, help="Feedback that arrived earlier counts (unix seconds); the last full hour.")
@click.option(
    "--hold-out-hours",
    type=click.FloatRange(min=0, min_open=True),
    default=24.0,
    show_default=True,
    help="The latest feedback, so many hours of it, is kept from training, for the gate.",
)
@click.option("--action", type=click.Choice(["retrain", "index_new_items"]), default="retrain", show_default=True)
@click.option("--items", default="", help="Table of new items (CSV, TSV, Parquet) beside those of the catalog.")
@click.option("--decision", default="", help="Id of the decision that this run carries out.")
@click.option("--decisions", default="", help="The record that has it: a file or s3://BUCKET/KEY.")
@profile_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="runs/retraining",
    show_default=True,
    help="Folder that receives the run's folder, and `latest`.",
)
def retrain(
    until: int | None, hold_out_hours: float, overrides: tuple[str, ...], workspace: str, **options: Any
) -> None:
    """Retrain the champion on fresh feedback on this machine, judge the result, and promote it if it is not worse.

    The same command goes on where it was stopped, as long as it names the same hour.
    """
    from pipelines.local_retraining import RetrainRequest, retrain_locally

    end = int(time.time()) // HOUR * HOUR if until is None else until
    ended = retrain_locally(
        RetrainRequest(
            until=end,
            hold_out_since=end - round(hold_out_hours * HOUR),
            overrides=overrides,
            workspace=Path(workspace),
            **options,
        )
    )
    click.echo(f"{ended.result}: {ended.text}\n{ended.folder}: verdict.json, verdict.html, run.log")
