"""Both sources in miniature: two users, four films, the irregular ones among them; no internet."""

import hashlib
import zipfile
from dataclasses import replace

import pytest

from gream import columns
from gream.data.movielens import SOURCES, import_movielens_100k
from gream.errors import DataError

pytestmark = pytest.mark.unit

GROUPLENS, RECBOLE = SOURCES
RATINGS = "1\t183\t5\t880000002\n2\t267\t1\t880000000\n1\t50\t4\t880000002\n1\t1412\t3\t880000001\n"


def u_item(number, title, *genres):
    names = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"]
    names += ["Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]
    flags = "|".join(str(int(name in genres)) for name in names)
    return f"{number}|{title}|01-Jan-1979||http://imdb/{number}|{flags}\n"


GROUPLENS_FILES = {
    "ml-100k/u.data": RATINGS,
    "ml-100k/u.item": (
        u_item(50, 'Étoile "filante", La (1977)', "Action", "Film-Noir")
        + u_item(183, "Alien (1979)", "Sci-Fi", "Horror")
        + u_item(267, "unknown", "unknown")
        + u_item(1412, "Land Before Time III (1995) (V)", "Children's")
    ).encode("latin-1"),
}
RECBOLE_FILES = {
    "recbole/dataset_example/ml-100k/ml-100k.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    + RATINGS,
    "recbole/dataset_example/ml-100k/ml-100k.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '50\tÉtoile "filante", La\t1977\tAction Film-Noir\n'
        "183\tAlien\t1979\tHorror Sci-Fi\n"
        "267\tunkonwn\tunkonwn\tunknown\n"
        "1412\tLand Before Time III (1995)\tV\tChildren's\n"
    ),
}


def serve(source, path, files):
    """`source`, fetched from a small archive at `path` instead of the internet."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    content = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return replace(source, fetch=lambda target: target.write_bytes(content), digest=digest)


def offline(target):
    target.write_bytes(b"half an arch")
    raise DataError("No route to host.")


@pytest.fixture
def grouplens(tmp_path):
    return serve(GROUPLENS, tmp_path / "grouplens", GROUPLENS_FILES)


@pytest.fixture
def recbole(tmp_path):
    return serve(RECBOLE, tmp_path / "recbole", RECBOLE_FILES)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_both_sources_give_the_same_catalog(grouplens, recbole, cache):
    first, second = (import_movielens_100k(k=0, cache=cache, sources=[source]) for source in (grouplens, recbole))
    assert first.interactions.equals(second.interactions)
    assert first.items.equals(second.items)
    assert first.items.select(columns.ITEM, columns.TITLE, columns.CATEGORIES).rows() == [
        ("50", 'Étoile "filante", La (1977)', ["Action", "Film-Noir"]),
        ("183", "Alien (1979)", ["Horror", "Sci-Fi"]),
        ("267", "Item 267", []),
        ("1412", "Land Before Time III (1995) (V)", ["Children's"]),
    ]


def test_time_orders_events_and_ties_keep_the_order_of_the_file(grouplens, cache):
    catalog = import_movielens_100k(k=0, cache=cache, sources=[grouplens])
    assert catalog.sequences() == {"1": ["1412", "183", "50"], "2": ["267"]}
    assert catalog.interactions[columns.RATING].to_list() == [3.0, 5.0, 4.0, 1.0]
    assert catalog.facts.exclude_seen
    assert catalog.facts.untitled == 1


def test_without_the_first_source_the_second_answers_and_the_log_says_why(grouplens, recbole, cache, caplog):
    catalog = import_movielens_100k(k=0, cache=cache, sources=[replace(grouplens, fetch=offline), recbole])
    assert catalog.facts.source.startswith("PyPI recbole==1.2.1 (sha256:")
    assert "No route to host." in caplog.text
    assert [path.name for path in cache.iterdir()] == [recbole.archive]


def test_the_second_time_nothing_is_fetched(grouplens, recbole, cache):
    import_movielens_100k(k=0, cache=cache, sources=[recbole])
    sources = [replace(grouplens, fetch=offline), replace(recbole, fetch=offline)]
    assert import_movielens_100k(k=0, cache=cache, sources=sources).items.height == 4


def test_a_damaged_cache_is_fetched_again(grouplens, cache):
    cache.mkdir()
    (cache / grouplens.archive).write_bytes(b"damaged")
    assert import_movielens_100k(k=0, cache=cache, sources=[grouplens]).items.height == 4
    assert grouplens.is_good(cache / grouplens.archive)


def test_wrong_content_is_refused_and_every_failure_is_told(grouplens, recbole, cache):
    changed = replace(grouplens, fetch=lambda target: target.write_bytes(b"<html>sign in</html>"))
    with pytest.raises(
        DataError, match=r"not ml-100k\.zip with sha256:.*No route to host.*put ml-100k\.zip or recbole"
    ):
        import_movielens_100k(k=0, cache=cache, sources=[changed, replace(recbole, fetch=offline)])
    assert list(cache.iterdir()) == []


def test_the_cache_follows_its_environment_variable(grouplens, tmp_path, monkeypatch):
    monkeypatch.setenv("GREAM_CACHE", str(tmp_path / "elsewhere"))
    import_movielens_100k(k=0, sources=[grouplens])
    assert (tmp_path / "elsewhere" / grouplens.archive).is_file()
