"""Commands about a trained policy that are no part of a run."""

from pathlib import Path
from typing import Literal

import click

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--policy", required=True, type=_FOLDER, help="Folder of a policy bundle, e.g. runs/latest/policy.")
@click.option(
    "--items",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="New items: item_id, title and, where known, description, brand, categories, as CSV, TSV or Parquet.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the policy to write.")
def extend(policy: Path, items: Path, out: Path) -> None:
    """Add items to a trained policy, without training: they get an index from its frozen codebooks."""
    from gream.policy.extend import extend_policy

    added = extend_policy(policy, items, out)
    click.echo(f"{len(added)} items added: {out}")


@click.command()
@click.option("--policy", required=True, type=_FOLDER, help="Folder of a policy bundle, e.g. runs/latest/policy.")
@click.option("--catalog", required=True, type=_FOLDER, help="Folder of a saved catalog (gream data --out).")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parquet file: user_id, rank, item_id, score.",
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Items for each user.")
@click.option("--mode", type=click.Choice(["direct", "reasoning"]), default="direct", show_default=True)
@click.option(
    "--seen-items",
    type=click.Choice(["as-dataset", "exclude", "keep"]),
    default="as-dataset",
    show_default=True,
    help="Whether items of a user's history may be recommended.",
)
def score(
    policy: Path, catalog: Path, out: Path, k: int, mode: Literal["direct", "reasoning"], seen_items: str
) -> None:
    """Recommend to every user of a catalog. Killed, it goes on when it is run again."""
    from gream.data.catalog import Catalog
    from gream.policy.catalog_fit import require_fit
    from gream.policy.user_scores import ScoringOptions, score_users

    shop = Catalog.load(catalog)
    require_fit(policy, shop)
    exclude_seen = shop.facts.exclude_seen if seen_items == "as-dataset" else seen_items == "exclude"
    users = score_users(policy, catalog, out, ScoringOptions(k, mode, exclude_seen))
    click.echo(f"{users} users: {out}")
