"""Real data: the published counts, and a download that really happens."""

import pytest

from gream import columns
from gream.data.importers import import_catalog
from gream.data.movielens import SOURCES, import_movielens_100k
from gream.data.split import leave_last_one_out

pytestmark = pytest.mark.integration


def test_a_published_5_core_comes_out_unchanged(shared_datasets):
    catalog = import_catalog(shared_datasets / "amazon14-beauty", k_core=5)
    sequences = catalog.sequences()
    assert (len(sequences), catalog.items.height, catalog.interactions.height) == (22_363, 12_101, 198_502)
    assert catalog.facts.skipped == {}
    assert catalog.facts.untitled == 7
    assert sequences["0"] == ["0", "1", "2", "3", "4"]
    assert len(leave_last_one_out(catalog).test) == 22_363


def test_repeated_purchases_survive(shared_datasets):
    catalog = import_catalog(shared_datasets / "amazon18-office-minionerec", k_core=0)
    assert (catalog.interactions.height, catalog.items.height) == (22_447, 3_459)
    assert catalog.sequences()["0"] == ["0", "0", "1", "2", "3"]


def test_movielens_downloads_and_keeps_every_user(tmp_path):
    catalog = import_movielens_100k(k=5, cache=tmp_path)
    assert (catalog.interactions[columns.USER].n_unique(), catalog.items.height) == (943, 1_349)
    assert catalog.interactions.height == 99_287
    titles = catalog.items[columns.TITLE].to_list()
    assert {"Alien (1979)", "Blade Runner (1982)", "Empire Strikes Back, The (1980)"} <= set(titles)
    assert catalog.facts.untitled == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("source", SOURCES[1:], ids=lambda source: source.archive)
def test_the_fallback_alone_is_enough(tmp_path, source):
    catalog = import_movielens_100k(k=0, cache=tmp_path, sources=[source])
    assert (catalog.interactions.height, catalog.items.height) == (100_000, 1_682)
