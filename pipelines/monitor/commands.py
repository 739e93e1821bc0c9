"""`gream monitor`: one round of the monitor, for a schedule; `gream status`: how things stand. Found through the
entry-point group `gream.commands`."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gream.errors import ConfigError

if TYPE_CHECKING:
    from gream.monitoring.runs import Runs

Command = TypeVar("Command", bound=Callable[..., Any])


def _place(name: str, default: str, variable: str, text: str) -> Callable[[Command], Command]:
    """An option that names a place; on a cluster its environment variable does, out of the platform's settings."""
    return click.option(name, default=default, envvar=variable, show_default=True, show_envvar=True, help=text)


champion_option = _place("--champion", "runs/champion", "GREAM_CHAMPION", "Folder or s3://BUCKET/PREFIX.")
decisions_option = _place(
    "--decisions", "runs/monitor/decisions.jsonl", "GREAM_DECISIONS", "The record: a file or s3://BUCKET/KEY."
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default="runs/monitor/cache",
    envvar="GREAM_CACHE",
    show_default=True,
    show_envvar=True,
    help="Folder on this machine for what comes from a store.",
)


@click.command()
@champion_option
@decisions_option
@_place("--catalog", "runs/latest/catalog", "GREAM_CATALOG", "The shop's catalog now: folder or s3://BUCKET/PREFIX.")
@_place("--evidence", "runs/serving/evidence", "GREAM_EVIDENCE_STORE", "What serving writes: folder or s3://...")
@_place("--calibrations", "runs/monitor/calibrations", "GREAM_CALIBRATIONS", "Keeps thresholds: folder or s3://...")
@_place(
    "--evidently",
    "runs/monitor/evidently",
    "GREAM_EVIDENTLY",
    "Folder or URL of Evidently's UI; '' for none.",
)
@_place("--canary", "", "GREAM_CANARY", "Where the canary stands; empty for none: what the gate accepts is promoted.")
@_place("--alertmanager", "", "GREAM_ALERTMANAGER", "URL of Prometheus' Alertmanager, for pages and warnings.")
@click.option(
    "--settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="GREAM_MONITORING",
    show_envvar=True,
    help="TOML file of gream.monitoring.settings.MonitoringSettings.",
)
@click.option(
    "--runs-on",
    type=click.Choice(["here", "kfp"]),
    default="here",
    envvar="GREAM_RUNS_ON",
    show_default=True,
    show_envvar=True,
    help="Where a retraining runs: in this process, or on the server that KFP_ENDPOINT names.",
)
@_place("--profile", "laptop", "GREAM_PROFILE", "Of a retraining: laptop, small, paper, or a TOML file.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    envvar="GREAM_OVERRIDES",
    show_envvar=True,
    metavar="SECTION.KEY=VALUE",
    help="A setting that differs from it; in the variable, spaces stand between several.",
)
@_place("--workspace", "runs/workspace", "GREAM_WORKSPACE", "Of a retraining.")
@cache_option
def monitor(settings: Path | None, cache: Path, **choices: Any) -> None:
    """Judge every window that is over, decide, and start what was decided: one round, for a schedule.

    Asks for GREAM_EVIDENCE_KEY, the key that serving hashes user ids with.
    """
    from gream.monitoring.describe import describe
    from gream.monitoring.evidence import KEY_VARIABLE
    from gream.monitoring.patrol import Patrol, Places
    from gream.monitoring.settings import MonitoringSettings

    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise ConfigError(
            f"{KEY_VARIABLE} is not set: it must be the key that serving has, or users cannot be told apart."
        )
    names = ("champion", "catalog", "evidence", "decisions", "calibrations", "evidently", "alertmanager", "canary")
    places = Places(**{name: choices[name] for name in names}, cache=cache)
    patrol = Patrol(places, key, MonitoringSettings.load(settings), _runs(choices))
    decided = patrol.round(int(time.time()))
    for decision in decided:
        click.echo(describe(decision))
    click.echo(f"{len(decided)} windows were decided.")


@click.command()
@champion_option
@decisions_option
@cache_option
@click.option("--last", default=5, show_default=True, type=click.IntRange(min=1), help="Entries of the record.")
def status(champion: str, decisions: str, cache: Path, last: int) -> None:
    """Show the champion, its monitors over time, the last decisions, and the run that is under way."""
    from gream.monitoring.champion_view import champion_parts
    from gream.monitoring.decision_log import DecisionLog
    from gream.monitoring.status import describe_status
    from gream.policy.bundle import read_facts
    from gream.promotion.champion import open_champion

    now = open_champion(champion).read()
    metrics = read_facts(champion_parts(champion, now, cache)).metrics if now else {}
    history = DecisionLog(decisions).entries()
    click.echo(describe_status(now, metrics, history, int(time.time()), last))
    if not history:
        click.echo(f"There is no record of decisions at {decisions}.")


def _runs(choices: dict[str, Any]) -> "Runs":
    """Where retrainings run, by the options of `monitor`.

    Raises:
        ConfigError: they are to run here, and the profile or an override is not allowed.
    """
    places = {name: choices[name] for name in ("champion", "evidence", "decisions", "canary", "profile")}
    if choices["runs_on"] == "kfp":
        from pipelines.kfp_connection import Connection
        from pipelines.kfp_server import KfpServer
        from pipelines.monitor.kfp_runs import KfpRuns

        form = {**places, "data": choices["catalog"], "overrides": list(choices["overrides"])}
        return KfpRuns(KfpServer(Connection.from_environment()), form)
    from gream.profile_files import load_profile
    from pipelines.monitor.local_runs import LocalRuns

    load_profile(choices["profile"], choices["overrides"])  # Weeks may pass until a retraining reads it.
    workspace, out = Path(choices["workspace"]), Path("runs/retraining")
    return LocalRuns(**places, data=choices["catalog"], overrides=choices["overrides"], workspace=workspace, out=out)
