"""The `gream` commands that need KFP. They are found through the entry-point group `gream.commands`."""

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


@click.group()
def pipelines() -> None:
    """Compile the KFP pipelines."""


@pipelines.command("compile")
@click.option("--out", type=click.Path(path_type=Path), default="dist/pipelines", show_default=True)
def compile_all(out: Path) -> None:
    """Write each pipeline as YAML for the KFP UI."""
    from pipelines.compile import PIPELINES, compile_pipeline

    out.mkdir(parents=True, exist_ok=True)
    for name in PIPELINES:
        compile_pipeline(name, out / f"{name}.yaml")
        click.echo(out / f"{name}.yaml")
