"""The best items of every user of a catalog, as one table: for mails, for shops that look answers up, for a cold cache.

Users are answered in slices, each of which becomes a file beside the table as soon as it is done. A run that was killed
goes on after its last whole slice if it is repeated with the same policy, catalog and options; the table itself appears
when everything is done, whole or not at all.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import polars as pl
from tqdm import tqdm

from gream import columns
from gream.artifacts import content_digest, write_text_atomic
from gream.data.catalog import Catalog
from gream.policy.policy import Policy
from gream.policy.query import Mode, Query

SLICE: Final = 1_024
"""Users that are answered between two files."""
SCHEMA: Final[dict[str, pl.DataType]] = {
    columns.USER: pl.String(),
    columns.RANK: pl.Int32(),
    columns.ITEM: pl.String(),
    columns.SCORE: pl.Float32(),
}
_RECIPE: Final = "recipe"


@dataclass(frozen=True)
class ScoringOptions:
    """Attributes:
    k: items for each user.
    mode: whether to reason before answering.
    exclude_seen: whether items of a user's history are left out.
    """

    k: int
    mode: Mode
    exclude_seen: bool


def score_users(policy: Path, catalog: Path, target: Path, options: ScoringOptions) -> int:
    """Write a Parquet table with the columns `SCHEMA`, users in the catalog's order, best items first (rank 1).

    Args:
        policy: a policy bundle.
        catalog: a saved catalog; items of a history that the policy does not know are passed over.
        target: the file to write.
        options: what is asked for each user.

    Returns:
        The number of users.

    Raises:
        ArtifactError: the policy or the catalog is not complete.
        RequestError: the options are out of range.
    """
    loaded, shop = Policy.load(policy), Catalog.load(catalog)
    parts = target.with_name(f".{target.name}.parts")
    _begin(parts, _fingerprint(policy, catalog, options))
    sequences = shop.sequences()
    users = list(sequences)
    starts = range(0, len(users), SLICE)
    with tqdm(total=len(users), desc=f"score ({options.mode})", unit="user") as bar:
        for number, start in enumerate(starts):
            part, asked = parts / f"{number:06}.parquet", users[start : start + SLICE]
            if not part.exists():
                _write(_answers(loaded, {user: sequences[user] for user in asked}, options), part)
            bar.update(len(asked))
    _write(pl.concat([pl.read_parquet(parts / f"{number:06}.parquet") for number in range(len(starts))]), target)
    shutil.rmtree(parts)
    return len(users)


def _answers(policy: Policy, sequences: dict[str, list[str]], options: ScoringOptions) -> pl.DataFrame:
    histories = [policy.known_numbers(items) for items in sequences.values()]
    nothing = policy.known_numbers([])
    queries = [Query(seen, options.k, seen if options.exclude_seen else nothing) for seen in histories]
    answers = policy.answer(queries, options.mode)
    rows = [
        (user, rank, item.item_id, item.score)
        for user, answer in zip(sequences, answers, strict=True)
        for rank, item in enumerate(answer, start=1)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _fingerprint(policy: Path, catalog: Path, options: ScoringOptions) -> str:
    recipe = {"policy": content_digest(policy), "catalog": content_digest(catalog), "slice": SLICE, **asdict(options)}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _begin(parts: Path, fingerprint: str) -> None:
    """Keep what an earlier run has done of the same work; remove what is left of other work."""
    recipe = parts / _RECIPE
    if recipe.is_file() and recipe.read_text(encoding="utf-8") == fingerprint:
        return
    shutil.rmtree(parts, ignore_errors=True)
    write_text_atomic(recipe, fingerprint)


def _write(table: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.partial")
    table.write_parquet(staging)
    staging.replace(path)
