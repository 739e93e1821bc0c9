import pytest

from gream.data.catalog import Catalog
from gream.stages import ingest
from gream.stages.store import open_run

pytestmark = pytest.mark.unit


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
