"""`gream store`: artifacts in an S3 store. Server and keys come from the environment, see `settings`."""

from pathlib import Path

import click


@click.group()
def store() -> None:
    """Publish artifacts to an S3 store, fetch them, and see what is there.

    The server is GREAM_S3_ENDPOINT, the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    """


@store.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("uri")
def publish(folder: Path, uri: str) -> None:
    """Upload the artifact in FOLDER and let s3://BUCKET/PREFIX name it. Killed, it goes on when it is run again."""
    from gream.objectstore import publish_artifact
    from gream.objectstore.uri import ArtifactUri

    click.echo(ArtifactUri.parse(uri).pin(publish_artifact(folder, uri)))


@store.command()
@click.argument("uri")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs/fetched",
    show_default=True,
    help="Folder that keeps what was fetched, by version.",
)
def fetch(uri: str, cache: Path) -> None:
    """Download what s3://BUCKET/PREFIX, or s3://BUCKET/PREFIX@VERSION, names, check it, and print its folder."""
    from gream.objectstore import fetch_artifact

    click.echo(fetch_artifact(uri, cache))


@store.command()
@click.argument("uri")
def show(uri: str) -> None:
    """List the versions that s3://BUCKET/PREFIX has named, the present one first."""
    from gream.errors import StoreError
    from gream.objectstore import Pointer

    history = list(Pointer(uri).history())
    if not history:
        raise StoreError(f"Nothing is published at {uri}.")
    for publication in history:
        click.echo(f"{publication.number:6}  {publication.published_at:%Y-%m-%d %H:%M:%S} UTC  {publication.digest}")


@store.command()
@click.argument("uri")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Versions that stay: the present one, those that rollbacks go to, and then the latest others.",
)
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Younger ones stay too: a challenger that is judged, or on trial, is named by no pointer of a champion yet.",
)
def prune(uri: str, keep: int, days: float) -> None:
    """Delete old versions of s3://BUCKET/PREFIX, and print them."""
    from datetime import UTC, datetime, timedelta

    from gream.objectstore.prune import prune as prune_versions

    for digest in prune_versions(uri, keep, timedelta(days=days), datetime.now(UTC)):
        click.echo(f"deleted {digest}")
