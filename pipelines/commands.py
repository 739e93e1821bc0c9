"""`gream run`: the training pipeline on this machine. Found through the entry-point group `gream.commands`."""

from pathlib import Path
from typing import Any

import click

from gream.cli import run_options


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
    if publish is not None:
        click.echo(publish_run(folder, publish))
