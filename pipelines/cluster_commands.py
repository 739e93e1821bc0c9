"""`gream pipelines`: compile pipelines for a cluster, and run them there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.cluster import Cluster

Command = TypeVar("Command", bound=Callable[..., Any])


def cluster_options(command: Command) -> Command:
    """The options that make a `Cluster`, for every command that compiles."""
    defaults = Cluster()
    for option in (
        click.option(
            "--keep-days",
            default=defaults.keep_days,
            show_default=True,
            help="A run's end deletes from the claim what no run has used for so many days.",
        ),
        click.option("--queue", default=defaults.queue, help="Kueue's local queue for all pods."),
        click.option(
            "--s3-secret",
            default=defaults.s3_secret,
            show_default=True,
            help="Secret with `accesskey` and `secretkey` for the S3 server.",
        ),
        click.option(
            "--s3-endpoint", default=defaults.s3_endpoint, show_default=True, help="The S3 server, as pods reach it."
        ),
        click.option(
            "--remote",
            default=defaults.remote,
            metavar="s3://BUCKET/PREFIX",
            help="Mirror of the workspace, from which a pod on another node goes on.",
        ),
        click.option(
            "--claim",
            default=defaults.claim,
            show_default=True,
            help="PersistentVolumeClaim of the workspace; '' gives each pod a scratch volume and needs --remote.",
        ),
        click.option("--accelerator", default=defaults.accelerator, show_default=True, help="Its resource name."),
        click.option(
            "--nodes",
            default=defaults.nodes,
            show_default=True,
            help="Nodes that train together; more than one train as a TrainJob of Kubeflow Trainer.",
        ),
        click.option(
            "--gpus",
            default=defaults.gpus,
            show_default=True,
            help="Accelerators of each node that trains; 0 keeps every step on the CPU pool.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def pipelines() -> None:
    """Compile the KFP pipelines for a cluster, and run them there."""


@pipelines.command("compile")
@click.option("--out", type=click.Path(path_type=Path), default="dist/pipelines", show_default=True)
@cluster_options
def compile_all(out: Path, **choices: Any) -> None:
    """Write each pipeline as YAML for the KFP UI, and as Kubernetes resources.

    What the cluster is like is decided here, what a run does in its form.
    """
    from pipelines.compile import PIPELINES, compile_pipeline, compile_resources

    cluster = Cluster(**choices)
    for name in PIPELINES:
        compile_pipeline(name, cluster, out / f"{name}.yaml")
        click.echo(out / f"{name}.yaml")
        compile_resources(name, cluster, out / f"{name}.kubernetes.yaml")
        click.echo(out / f"{name}.kubernetes.yaml")
