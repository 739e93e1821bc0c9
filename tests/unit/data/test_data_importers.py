import gzip
import json

import pytest

from gream.data import movielens
from gream.data.importers import import_catalog
from gream.data.tables import ColumnMapping
from gream.errors import DataError

pytestmark = pytest.mark.unit


def write_tables(folder, events="user_id,item_id,timestamp\nu,1,0\nu,2,1\nv,1,0\nv,2,1\nw,2,0\n"):
    (folder / "interactions.csv").write_text(events)
    (folder / "items.tsv").write_text("item_id\ttitle\n1\tPen\n2\tInk\n3\tCap\n")


def write_lcrec(folder):
    (folder / "Toys.inter.json").write_text(json.dumps({"u": [1, 2]}))
    (folder / "Toys.item.json").write_text(json.dumps({"1": {"title": "Ball"}, "2": {"title": "Kite"}}))


def write_amazon(folder, reviews="All_Toys_5.json.gz"):
    row = {"reviewerID": "u", "asin": "B1", "unixReviewTime": 1}
    (folder / reviews).write_bytes(gzip.compress(json.dumps(row).encode()))
    (folder / "meta_All_Toys.json.gz").write_bytes(gzip.compress(json.dumps({"asin": "B1", "title": "Kite"}).encode()))


@pytest.mark.parametrize(
    ("write", "dataset", "titles"),
    [
        (write_tables, "shop", ["Pen", "Ink", "Cap"]),
        (write_lcrec, "Toys", ["Ball", "Kite"]),
        (write_amazon, "All_Toys", ["Kite"]),
    ],
)
def test_a_folder_is_recognised_by_what_it_holds(tmp_path, write, dataset, titles):
    folder = tmp_path / "shop"
    folder.mkdir()
    write(folder)
    catalog = import_catalog(folder, k_core=0)
    assert catalog.facts.dataset == dataset
    assert catalog.items["title"].to_list() == titles
    assert import_catalog(str(folder), k_core=0).facts == catalog.facts


def test_the_film_dataset_is_known_by_name(monkeypatch):
    monkeypatch.setattr(movielens, "import_movielens_100k", lambda *, k: ("films", k))
    assert import_catalog("movielens-100k", k_core=5) == ("films", 5)


def test_a_saved_catalog_is_filtered_again_and_keeps_its_counts(tmp_path):
    write_tables(tmp_path, "user_id,item_id,timestamp\nu,1,0\nu,1,0\nu,2,1\nv,1,0\nv,2,1\nw,2,0\n")
    import_catalog(tmp_path, k_core=0).save(tmp_path / "saved")
    again = import_catalog(tmp_path / "saved", k_core=2)
    assert again.sequences() == {"u": ["1", "2"], "v": ["1", "2"]}
    assert again.facts.skipped == {"duplicate_event": 1, "k_core": 1, "k_core_items": 1}
    again.save(tmp_path / "core")
    same = import_catalog(tmp_path / "core", k_core=2)
    assert same.facts == again.facts
    assert same.interactions.equals(again.interactions)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"it holds nothing\. Understood are 'movielens-100k'"),
        (["notes.txt"], r"it holds notes\.txt\. Understood are"),
        (["interactions.csv"], r"it holds interactions\.csv\. Understood are"),
        (["items.csv", "items.parquet"], r"holds items\.csv and items\.parquet; keep one of them"),
        (["meta_Toys.json.gz"], r"holds 1 metadata and 0 review dumps"),
        (["meta_Toys.json.gz", "Toys.json.gz", "Toys_5.json.gz"], r"holds 1 metadata and 2 review dumps"),
        (["manifest.json"], r"it holds manifest\.json\. Understood are"),
    ],
)
def test_what_is_not_understood_gets_a_list_of_what_is(tmp_path, files, message):
    for name in files:
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=message):
        import_catalog(tmp_path, k_core=5)


def test_neither_a_name_nor_a_folder():
    with pytest.raises(DataError, match=r"'movielens-20m' is neither a known dataset nor a folder\. Understood are"):
        import_catalog("movielens-20m", k_core=5)


def test_a_mapping_reaches_the_tables_and_is_refused_elsewhere(tmp_path):
    write_tables(tmp_path, "customer,item_id,timestamp\nu,1,0\n")
    catalog = import_catalog(tmp_path, k_core=0, mapping=ColumnMapping(user_id="customer"))
    assert catalog.sequences() == {"u": ["1"]}
    with pytest.raises(DataError, match="a column mapping belongs to two tables"):
        import_catalog("movielens-100k", k_core=0, mapping=ColumnMapping())


def test_a_failed_import_leaves_the_folder_as_it_was(tmp_path):
    write_tables(tmp_path, "user_id,item_id,timestamp\nu,404,0\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(DataError, match="row 2 has item '404'"):
        import_catalog(tmp_path, k_core=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
