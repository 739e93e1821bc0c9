"""`gream decisions`: what was decided and why, and what people order."""

import getpass
import time
import uuid
from typing import TYPE_CHECKING, Literal, get_args

import click

if TYPE_CHECKING:
    from gream.monitoring.decision_log import DecisionLog
    from gream.monitoring.entries import Entry

HOUR = 3_600
HOURS = click.FloatRange(min=0, min_open=True)
Result = Literal["promoted", "refused", "indexed", "failed"]


@click.group()
def decisions() -> None:
    """The record of decisions: JSON lines in a file or at s3://BUCKET/KEY (server and keys: see gream store)."""


@decisions.command()
@click.argument("log")
@click.option("--last", default=20, show_default=True, type=click.IntRange(min=1), help="How many entries.")
def show(log: str, last: int) -> None:
    """Print the latest entries of LOG, the newest last."""
    from gream.monitoring.describe import describe

    for entry in _recorded(log).entries()[-last:]:
        click.echo(describe(entry))


@decisions.command()
@click.argument("log")
@click.argument("reason")
@click.option("--hours", type=HOURS, help="For how long; without it, until a thaw.")
def freeze(log: str, reason: str, hours: float | None) -> None:
    """Let no run start, whatever the monitors say."""
    from gream.monitoring.entries import Freeze

    now = int(time.time())
    _order(log, Freeze(at=now, by=getpass.getuser(), reason=reason, until=_until(now, hours)))
    click.echo(f"Frozen, in {log}.")


@decisions.command()
@click.argument("log")
def thaw(log: str) -> None:
    """End a freeze."""
    from gream.monitoring.entries import Thaw

    _recorded(log).append(Thaw(at=int(time.time()), by=getpass.getuser()))
    click.echo(f"Thawed, in {log}.")


@decisions.command()
@click.argument("log")
@click.argument("action", type=click.Choice(["nothing", "warn", "index_new_items", "retrain", "page"]))
@click.argument("reason")
@click.option("--hours", type=HOURS, help="For how long; without it, until it is carried out or another is given.")
def override(log: str, action: str, reason: str, hours: float | None) -> None:
    """Order what the next decision is to be, once; what forbids a run still does."""
    from gream.monitoring.entries import Override

    now = int(time.time())
    order = {"id": uuid.uuid4().hex, "at": now, "by": getpass.getuser(), "action": action, "reason": reason}
    end = {} if hours is None else {"until": _until(now, hours)}
    _order(log, Override.model_validate(order | end))
    click.echo(f"Ordered: {action}, in {log}.")


@decisions.command()
@click.argument("log")
@click.argument("result", type=click.Choice(get_args(Result)))
@click.argument("reason")
def outcome(log: str, result: Result, reason: str) -> None:
    """Record how the run that is under way ended, where it cannot do so itself any more."""
    from gream.monitoring.decision import running
    from gream.monitoring.entries import Outcome

    record = _recorded(log)
    run = running(record.entries())
    if run is None:
        raise click.ClickException("no run is under way.")
    wanted = Outcome(decision=run.id, at=int(time.time()), result=result, text=reason)
    stands = record.close(wanted)
    if stands != wanted:
        raise click.ClickException(f"{run.id} had ended a moment before, {stands.result}: {stands.text}")
    click.echo(f"{run.id}: {result}.")


def _recorded(log: str) -> "DecisionLog":
    """The record, which must exist: a mistyped place would pass for one that holds nothing.

    Raises:
        ClickException: there is none.
    """
    from gream.monitoring.decision_log import DecisionLog

    if not _exists(log):
        raise click.ClickException(f"there is no record of decisions at {log}.")
    return DecisionLog(log)


def _until(now: int, hours: float | None) -> int | None:
    return None if hours is None else now + round(hours * HOUR)


def _order(log: str, order: "Entry") -> None:
    """Record an order, also as the first entry, before the monitor has been around; that it was the first is said."""
    from gream.monitoring.decision_log import DecisionLog

    existed = _exists(log)
    DecisionLog(log).append(order)
    if not existed:
        click.echo(f"{log} did not exist: a new record.")


def _exists(log: str) -> bool:
    from gream.documents import open_document

    return open_document(log).read().tag is not None
