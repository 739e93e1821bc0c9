"""`gream pipelines`: compile pipelines for a cluster, and run them there."""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cluster import Cluster

if TYPE_CHECKING:
    from pipelines.kfp_server import KfpServer
    from pipelines.run_status import RunStatus

POLL_S = 10.0
"""Between two looks at a run that is waited for."""
PATIENCE = 30
"""Looks in a row that KFP may leave unanswered."""

Command = TypeVar("Command", bound=Callable[..., Any])


def cluster_options(command: Command) -> Command:
    """The options that make a `Cluster`, for every command that compiles."""
    defaults = Cluster()
    for option in (
        click.option(
            "--at-once",
            default=defaults.at_once,
            show_default=True,
            help="Branches of an experiment at a time. More end sooner, but what they share and is not there yet each "
            "makes for itself, or waits for with its accelerators where there is a claim.",
        ),
        click.option(
            "--keep-days",
            default=defaults.keep_days,
            show_default=True,
            help="A run's end deletes from claim and mirror what no run has used for so many days.",
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
            help="PersistentVolumeClaim of the workspace; '' gives each pod a folder on its node and needs --remote.",
        ),
        click.option(
            "--memory-gib",
            default=defaults.memory_gib,
            show_default=True,
            help="Host memory for each accelerator of a node that trains; see docs/sizing.md.",
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


endpoint_option = click.option(
    "--endpoint",
    default="",
    metavar="URL",
    help="The KFP server; KFP_ENDPOINT where it is not given.",
)


@pipelines.command()
@endpoint_option
@cluster_options
def upload(endpoint: str, **choices: Any) -> None:
    """Compile each pipeline and make it a version on a KFP server.

    The same choices and code make the same version, which is not uploaded twice.
    """
    from pipelines.compile import PIPELINES, compile_pipeline, pipeline_name, version_name

    cluster, server = Cluster(**choices), _server(endpoint)
    for name in PIPELINES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.yaml"
            compile_pipeline(name, cluster, file)
            pipeline = pipeline_name(name)
            version, new = server.upload(pipeline, version_name(pipeline, file.read_text(encoding="utf-8")), file)
        click.echo(f"{name}: {version.name} {'uploaded' if new else 'is there already'}")
        if not new and (newest := server.newest(pipeline)).name != version.name:
            click.echo(f"{name}: {newest.name} is newer and is what runs, without --version {version.name}")


@pipelines.command()
@click.argument("name")
@endpoint_option
@click.option(
    "--param", "assignments", multiple=True, metavar="NAME=VALUE", help="A field of the form; may be repeated."
)
@click.option("--version", "wanted", default="", metavar="NAME", help="As `upload` printed it; by default the newest.")
@click.option("--experiment", default="gream", show_default=True, help="Group of runs that this one belongs to.")
@click.option("--wait", is_flag=True, help="Until the run has ended; the exit status tells how.")
def run(name: str, endpoint: str, assignments: tuple[str, ...], wanted: str, experiment: str, wait: bool) -> None:
    """Start a version of a pipeline, such as `training`; the run's id is the last word printed."""
    from pipelines.compile import pipeline_name
    from pipelines.form import fill_form

    server, pipeline = _server(endpoint), pipeline_name(name)
    version = server.version(pipeline, wanted) if wanted else server.newest(pipeline)
    parameters = fill_form(version.spec, assignments)
    run_id = server.start(version, f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}", experiment, parameters)
    click.echo(f"{version.name}: started run {run_id}")
    if wait:
        _finish(_wait(endpoint, run_id))


@pipelines.command()
@click.argument("run_id")
@endpoint_option
def status(run_id: str, endpoint: str) -> None:
    """Show a run and its steps. The exit status is 1 for a run that failed or was cancelled."""
    from pipelines.run_status import RunStatus

    _finish(RunStatus.of(_server(endpoint).run(run_id)))


@pipelines.command()
@click.argument("run_id")
@click.argument("step")
@endpoint_option
def logs(run_id: str, step: str, endpoint: str) -> None:
    """Show what a step of a run has printed, every attempt and every turn of its loop."""
    from pipelines.run_status import RunStatus

    server = _server(endpoint)
    known = RunStatus.of(server.run(run_id)).steps
    pods = [pod for execution in known if execution.name == step for pod in execution.pods]
    if not pods:
        begun = ", ".join(dict.fromkeys(execution.name for execution in known if execution.pods)) or "none yet"
        raise click.ClickException(f"step {step!r} of run {run_id} has no pod; steps with one: {begun}.")
    for pod in pods:
        click.echo(f"--- {pod}")
        click.echo(server.log(run_id, pod).rstrip("\n"))


def _server(endpoint: str) -> "KfpServer":
    from pipelines.kfp_connection import Connection
    from pipelines.kfp_server import KfpServer

    return KfpServer(Connection.from_environment(endpoint))


def _wait(endpoint: str, run_id: str) -> "RunStatus":
    """The run when it has ended; meanwhile, each change of a step's state is told."""
    from pipelines.kfp_server import KfpError
    from pipelines.run_status import RunStatus

    told: set[str] = set()
    unanswered = 0
    while True:
        try:
            # Connected anew: a run takes days, and the token in a file an hour.
            now = RunStatus.of(_server(endpoint).run(run_id))
            unanswered = 0
        except KfpError:
            unanswered += 1
            if unanswered == PATIENCE:
                raise
            time.sleep(POLL_S)
            continue
        lines = [f"{step.name}: {step.state}" for step in now.steps]
        click.echo("".join(f"{line}\n" for line in dict.fromkeys(lines) if line not in told), nl=False)
        told.update(lines)
        if now.ended:
            return now
        time.sleep(POLL_S)


def _finish(run: "RunStatus") -> None:
    from pipelines.run_status import SUCCEEDED

    click.echo(run.table(datetime.now(UTC)))
    if run.ended and run.state != SUCCEEDED:
        raise SystemExit(1)
