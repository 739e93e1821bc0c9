"""The `gream` command. Every import of weight stands inside a command, so that `gream --help` answers at once.

Packages around `gream` add commands through the entry-point group `gream.commands`; `gream` itself imports none of
them.
"""

import json
import math
import os
import shutil
import socket
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from gream.errors import GreamError
from gream.monitoring.commands import decisions
from gream.objectstore.commands import store
from gream.policy.commands import extend, score
from gream.promotion.commands import champion
from gream.stages import MAX_SEED

Command = TypeVar("Command", bound=Callable[..., Any])


class GreamGroup(click.Group):
    """A group that also lists commands from entry points, and ends on what is meant to be read with one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands and those of entry points, by name."""
        return sorted({*super().list_commands(ctx), *self._around()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name; one from an entry point is imported only now."""
        if entry := self._around().get(cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that is meant to be read, a package that is not there, or a file that the system
        refuses ends it without a traceback."""
        try:
            return super().invoke(ctx)
        except GreamError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"this command needs {error.name}, which is not installed: in the clone, `make .venv/loop.stamp` or"
                " pip install -e '.[train,pipelines,serve,monitor]'."
            ) from error
        except OSError as error:
            said = _said_of_files(error)
            if said is None:
                raise
            raise click.ClickException(said) from error

    @staticmethod
    def _around() -> dict[str, EntryPoint]:
        """Entry points by name; an image leaves some of the packages around `gream` out, and so their commands."""
        found = entry_points(group="gream.commands")
        return {entry.name: entry for entry in found if find_spec(entry.module.partition(".")[0])}


def _said_of_files(error: OSError) -> str | None:
    """What the system says of files or of a disk, as a sentence; None where it says nothing."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        _, _, reason = error.args[0][0]  # Of the first file of a folder that was being copied.
        return f"{reason}."
    # A peer that is not there says nothing of files; and click ends without a word where whoever reads our output has
    # had enough (`BrokenPipeError` is one of these).
    if error.errno is None or isinstance(error, ConnectionError | socket.gaierror):
        return None
    files = " -> ".join(str(file) for file in (error.filename, error.filename2) if file is not None)
    return f"{files}: {error.strerror}." if files else f"{error.strerror}."


def profile_options(command: Command) -> Command:
    """The options of every command that runs stages, but for what they are run on."""
    for option in (
        click.option(
            "--workspace",
            default="runs/workspace",
            show_default=True,
            help="Folder where stages keep outputs and checkpoints; what is done there is not done again.",
        ),
        click.option(
            "--seed",
            default=0,
            show_default=True,
            type=click.IntRange(0, MAX_SEED),
            help="Of every random choice.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="Change one setting of the profile; may be repeated.",
        ),
        click.option(
            "--profile", default="laptop", show_default=True, help="laptop, small, paper, or the path of a TOML file."
        ),
    ):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """The options of every command that runs stages on a dataset."""
    command = profile_options(command)
    for option in (
        click.option(
            "--seen-items",
            type=click.Choice(["as-dataset", "exclude", "keep"]),
            default="as-dataset",
            show_default=True,
            help="Whether items of a user's history may be recommended.",
        ),
        click.option(
            "--data",
            required=True,
            help="movielens-100k; s3://BUCKET/PREFIX of a published catalog; or a folder: a saved catalog, raw Amazon "
            "dumps, NAME.inter.json + NAME.item.json, or interactions and items as CSV, TSV or Parquet.",
        ),
    ):
        command = option(command)
    return command


@click.group(cls=GreamGroup)
@click.version_option(package_name="gream")
def main() -> None:
    """Generative reasoning recommendation: from two tables to a policy that recommends, and says why."""


@main.command()
@run_options
@click.option("--out", type=click.Path(path_type=Path), help="Write the catalog to this folder.")
def data(out: Path | None, **options: Any) -> None:
    """Import interactions and items, and describe them."""
    from gream.data.catalog import Catalog
    from gream.data.summary import describe

    catalog = _run_until("ingest", out, options)
    click.echo(describe(Catalog.load(catalog)))


@main.command()
@run_options
@click.option("--out", type=click.Path(path_type=Path), help="Write the index to this folder.")
def index(out: Path | None, **options: Any) -> None:
    """Give each item its index tokens, and audit their collisions."""
    from gream.indexing.collision_limit import AUDIT
    from gream.indexing.semantic_index import SemanticIndex

    folder = _run_until("index", out, options)
    click.echo(json.dumps(SemanticIndex.load(folder).facts[AUDIT], indent=2))


@main.command()
@click.argument("method", type=click.Choice(["sft", "srpo"]))
@run_options
@click.option("--out", type=click.Path(path_type=Path), help="Write the policy to this folder.")
def train(method: str, out: Path | None, **options: Any) -> None:
    """Train a policy: supervised (sft), or also with reinforcement learning (srpo)."""
    click.echo(_run_until(method, out, options))


@main.command()
@run_options
@click.option("--out", type=click.Path(path_type=Path), help="Write metrics.json and report.html to this folder.")
def evaluate(out: Path | None, **options: Any) -> None:
    """Evaluate the trained policies beside the baselines, and print the table."""
    from gream.stages.report import SUMMARY

    click.echo((_run_until("report", out, options) / SUMMARY).read_text(encoding="utf-8"))


@main.command()
@click.option("--policy", required=True, help="Folder of a policy bundle, e.g. runs/latest/policy.")
@click.option(
    "--history",
    required=True,
    multiple=True,
    metavar="TITLE",
    help="An item of the history, by its title or its id; oldest first.",
)
@click.option("--mode", type=click.Choice(["direct", "reasoning"]), default="direct", show_default=True)
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="How many items.")
@click.option("--again", is_flag=True, help="Items of the history may be recommended again.")
def recommend(policy: str, history: tuple[str, ...], mode: Literal["direct", "reasoning"], k: int, again: bool) -> None:
    """Recommend items to somebody with this history."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # A short answer needs no bars for loading a model.
    from gream.policy.policy import Policy
    from gream.policy.titles import resolve_titles

    loaded = Policy.load(policy)
    item_ids = resolve_titles(loaded.items, history)
    answer = loaded.recommend(item_ids, k=k, mode=mode, exclude=() if again else item_ids)
    if answer.readable_chain is not None:
        click.echo(f"Reasoning\n  {answer.readable_chain}\n")
    click.echo("rank    score  share  title")
    for rank, item in enumerate(answer, start=1):
        click.echo(f"{rank:4}  {item.score:7.3f}  {math.exp(item.score):5.1%}  {item.title}")
    click.echo("\nscore: log-probability among all items of the catalogue; share: its exponential")


main.add_command(champion)
main.add_command(decisions)
main.add_command(extend)
main.add_command(score)
main.add_command(store)


def _run_until(last: str, out: Path | None, options: dict[str, Any]) -> Path:
    """Run the stages up to `last`; its output folder, delivered to `out` where one is given."""
    from gream.stages.chain import run_until
    from gream.stages.store import check_delivery, deliver, open_run

    context = open_run(options["profile"], options["overrides"], options["seed"], options["workspace"])
    if out is not None:
        check_delivery(out, context.workspace)
    folder = run_until(last, options["data"], options["seen_items"], context)
    if out is not None:
        deliver(folder, out)
    return folder
