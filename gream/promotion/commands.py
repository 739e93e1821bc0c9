"""`gream champion`: who is the champion, make another one it, go back."""

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def champion() -> None:
    """The policy that is served: a pointer in a folder or at s3://BUCKET/PREFIX (server and keys: see gream store)."""


@champion.command()
@click.argument("place")
def show(place: str) -> None:
    """List the champions of PLACE, the present one first; a rollback goes to the one that is marked."""
    from gream.promotion.champion import open_champion, predecessor

    states = list(open_champion(place).history())
    if not states:
        raise click.ClickException(f"there is no champion at {place} yet.")
    before = predecessor(states)
    for state in states:
        mark = "  rollback goes here" if state == before else ""
        click.echo(f"{state.number:6}  {state.since:%Y-%m-%d %H:%M:%S} UTC  {state.digest}{mark}")


@champion.command()
@click.argument("place")
@click.argument("bundle", type=FOLDER)
@click.option("--verdict", type=FILE, help="The gate's verdict.json; needed unless there is no champion yet.")
def promote(place: str, bundle: Path, verdict: Path | None) -> None:
    """Make the policy in BUNDLE the champion of PLACE, if the gate has accepted it against the present one."""
    from gream.promotion.champion import install, open_champion
    from gream.promotion.champion import promote as make_champion
    from gream.promotion.verdict import Verdict

    where = open_champion(place)
    now = install(where, bundle) if verdict is None else make_champion(where, bundle, Verdict.load(verdict))
    click.echo(f"{now.digest} is the champion (move {now.number}).")


@champion.command()
@click.argument("place")
def rollback(place: str) -> None:
    """Go back to the champion before the present one."""
    from gream.promotion.champion import open_champion, roll_back

    now = roll_back(open_champion(place))
    click.echo(f"{now.digest} is the champion again (move {now.number}).")
