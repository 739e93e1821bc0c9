import pytest

from gream.data.catalog import Catalog
from gream.stages import ingest
from gream.stages.store import open_run

pytestmark = pytest.mark.unit


def test_texts_are_removed_where_a_profile_asks_for_it(tmp_path):
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\nu,a,1000000001\nu,b,1000000002\n")
    (tmp_path / "items.csv").write_text("item_id,title,brand\na,Lamp,Acme\nb,Chair,Acme\n")
    brands = {}
    for share in (0.0, 0.5):
        overrides = ["data.k_core=0", f"data.texts_removed={share}"]
        context = open_run("laptop", overrides, seed=0, workspace=str(tmp_path / "workspace"))
        catalog = Catalog.load(ingest.run(str(tmp_path), "as-dataset", context))
        brands[share] = sorted(catalog.items["brand"].to_list())
    assert brands == {0.0: ["Acme", "Acme"], 0.5: ["", "Acme"]}


def test_seeds_share_a_catalog_of_which_nothing_is_drawn(tmp_path):
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\nu,a,1000000001\nu,b,1000000002\n")
    (tmp_path / "items.csv").write_text("item_id,title,brand\na,Lamp,Acme\nb,Chair,Acme\n")

    def catalogs(*settings):
        runs = (open_run("laptop", ["data.k_core=0", *settings], seed, str(tmp_path / "runs")) for seed in range(2))
        return [ingest.run(str(tmp_path), "as-dataset", context) for context in runs]

    assert len(set(catalogs())) == 1
    assert len(set(catalogs("data.texts_removed=0.5"))) == 2


def test_tables_with_their_own_column_names(tmp_path):
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "interactions.csv").write_text("customer,item_id,when\nu,a,1000000001\nu,b,1000000002\n")
    (shop / "items.csv").write_text("item_id,name\na,Lamp\nb,Chair\n")
    overrides = ["data.k_core=0", "data.columns={user_id = 'customer', timestamp = 'when', title = 'name'}"]
    context = open_run("laptop", overrides, seed=0, workspace=str(tmp_path / "workspace"))
    catalog = Catalog.load(ingest.run(str(shop), "as-dataset", context))
    assert catalog.sequences() == {"u": ["a", "b"]}
    assert catalog.items["title"].to_list() == ["Lamp", "Chair"]
