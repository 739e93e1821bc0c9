"""`gream features`: fill the feature store and look into it. Where it is comes from the environment, see `settings`."""

from pathlib import Path
from typing import Any

import click

CATALOG = click.Path(exists=True, file_okay=False, path_type=Path)


class FeaturesGroup(click.Group):
    """A group that ends on a store that does not answer with one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        from serving.contracts import FeatureStoreError

        try:
            return super().invoke(ctx)
        except FeatureStoreError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=FeaturesGroup)
def features() -> None:
    """Fill the feature store from a catalog, and look into it.

    It is in GREAM_STATE; GREAM_ONLINE_STORE=redis and GREAM_REDIS put what is served into Redis.
    """


@features.command()
@click.option("--catalog", required=True, type=CATALOG, help="A saved catalog, e.g. from `gream data --out`.")
def build(catalog: Path) -> None:
    """Write the offline files of a catalog, apply the definitions, and bring everything online.

    Running it again changes nothing; events that were pushed stay.
    """
    from gream import columns
    from gream.data.catalog import Catalog
    from serving.features.build import build_features
    from serving.settings import load_settings

    loaded = Catalog.load(catalog)
    build_features(loaded, load_settings())
    users = loaded.interactions[columns.USER].n_unique()
    click.echo(f"{users:,} users and {loaded.items.height:,} items of {loaded.facts.dataset} are online")


@features.command()
@click.option("--catalog", type=CATALOG, help="A catalog with newer events; without it, the offline files as they are.")
def refresh(catalog: Path | None) -> None:
    """Bring online what is new since the last build or refresh, and nothing else."""
    from gream.data.catalog import Catalog
    from serving.features.build import refresh_features
    from serving.settings import load_settings

    refresh_features(load_settings(), Catalog.load(catalog) if catalog else None)
    click.echo("what is online is up to date")


@features.command()
@click.argument("user")
@click.option("--last", default=20, show_default=True, type=click.IntRange(min=1), help="How many events to show.")
def show(user: str, last: int) -> None:
    """What the online store answers for USER: statistics of the last build, and the most recent events."""
    from serving.features.describe import describe_user
    from serving.settings import load_settings

    click.echo(describe_user(user, last, load_settings()))


@features.command()
@click.argument("user")
def forget(user: str) -> None:
    """Delete USER from the online store, once a catalog without them has been built; see docs on erasing a user."""
    from serving.features.forget import forget_user
    from serving.settings import load_settings

    known = forget_user(user, load_settings())
    click.echo("forgotten" if known else "the online store did not know this user")
