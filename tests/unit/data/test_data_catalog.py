import polars as pl
import pytest

from gream.artifacts import content_digest
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts, is_catalog
from gream.data.split import leave_last_one_out
from gream.data.summary import describe
from gream.errors import ArtifactError, DataError

pytestmark = pytest.mark.unit

EVENTS = [("a", "x", 10), ("a", "y", 20), ("a", "z", 30), ("a", "x", 86_400), ("b", "y", 10), ("b", "x", 20)]
ITEMS = [("x", "Pen", "Blue", "Kent", ["Office"]), ("y", "Ink", "", "", []), ("z", "Item z", "", "", [])]


def catalog(events=EVENTS, items=ITEMS, **facts):
    return Catalog(
        pl.DataFrame(events, schema=INTERACTION_SCHEMA, orient="row"),
        pl.DataFrame(items, schema=ITEM_SCHEMA, orient="row"),
        CatalogFacts(**{"dataset": "shop", "source": "a test", "exclude_seen": False, "untitled": 1, **facts}),
    )


def test_a_saved_catalog_loads_as_it_was_and_is_named_by_its_content(tmp_path):
    catalog().save(tmp_path / "one")
    catalog().save(tmp_path / "two")
    loaded = Catalog.load(tmp_path / "one")
    assert loaded.interactions.equals(catalog().interactions)
    assert loaded.items.equals(catalog().items)
    assert loaded.facts == catalog().facts
    assert content_digest(tmp_path / "one") == content_digest(tmp_path / "two")


def test_what_later_stages_go_by_is_part_of_its_content_and_where_it_came_from_is_not(tmp_path):
    """Else a run that keeps seen items would take over the training and evaluation of one that leaves them out."""

    def digest(**facts):
        catalog(**facts).save(tmp_path / "one")
        return content_digest(tmp_path / "one")

    plain = digest()
    assert len({plain, digest(exclude_seen=True), digest(ordinal_time=True), digest(dataset="other")}) == 4
    assert digest(source="elsewhere", skipped={"k_core": 3}, untitled=0) == plain


def test_only_a_complete_catalog_is_one(tmp_path):
    catalog().save(tmp_path / "good")
    assert is_catalog(tmp_path / "good")
    for name, manifest in (("list", "[]"), ("broken", "{"), ("other", '{"kind": "policy"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(manifest)
        assert not is_catalog(tmp_path / name)
    (tmp_path / "good" / "manifest.json").unlink()
    assert not is_catalog(tmp_path / "good")
    with pytest.raises(ArtifactError, match="is not a complete catalog"):
        Catalog.load(tmp_path / "good")


@pytest.mark.parametrize(
    ("events", "items", "message"),
    [
        ([], ITEMS, "no interactions left"),
        ([("a", None, 1)], ITEMS, "row 0 of interactions has no 'item_id'"),
        (EVENTS, [*ITEMS, ("w", None, "", "", [])], "row 3 of items has no 'title'"),
        (EVENTS, [*ITEMS, ITEMS[0]], "item 'x' appears twice"),
        (EVENTS, ITEMS[:2], r"item 'z' has interactions but no row in the items table \(1 such"),
    ],
)
def test_tables_that_do_not_fit_are_refused(events, items, message):
    with pytest.raises(DataError, match=message):
        catalog(events, items)


def test_columns_have_fixed_types():
    events = pl.DataFrame({"user_id": ["a"], "item_id": ["x"], "timestamp": [1.5]})
    with pytest.raises(DataError, match="interactions need a column 'timestamp' of type Int64, found Float64"):
        Catalog(events, catalog().items, catalog().facts)


def test_the_last_item_tests_the_one_before_validates_and_short_histories_train():
    split = leave_last_one_out(catalog())
    assert split.train == {"a": ["x", "y"], "b": ["y", "x"]}
    assert (split.validation, split.test) == ({"a": "z"}, {"a": "x"})
    assert split.validation_history("a") == ["x", "y"]
    assert split.test_history("a") == ["x", "y", "z"]


def test_nothing_to_hold_out_is_an_error():
    with pytest.raises(DataError, match="no user has 3 or more events"):
        leave_last_one_out(catalog(EVENTS[4:]))


def test_the_summary_states_the_facts():
    text = describe(catalog(skipped={"k_core": 1_200, "duplicate_event": 3}))
    facts = {name: value.strip() for name, value in (line.split("  ", 1) for line in text.splitlines())}
    assert facts["users"] == "2"
    assert facts["items"] == "3"
    assert facts["interactions"] == "6"
    assert facts["density"] == "83.333% of all user-item pairs"  # 5 distinct pairs of 6
    assert facts["events per user"] == "2/2/4/4/4 (min/quartiles/max), mean 3.0"
    assert facts["repeats"] == "1 events return to an item"
    assert facts["time"] == "1970-01-01 to 1970-01-02"
    assert facts["text coverage"] == "title 66.7%, description 33.3%, brand 33.3%, categories 33.3%"
    assert facts["left out"] == "3 duplicate events, 1,200 events below data.k_core"
    assert facts["protocol"] == "leave-last-one-out, seen items kept"


def test_the_summary_of_other_protocols_and_of_reviews():
    reviewed = catalog(exclude_seen=True, ordinal_time=True)
    events = reviewed.interactions.with_columns(pl.Series("review", ["good", None, "", "", "", "bad"]))
    text = describe(Catalog(events, reviewed.items, reviewed.facts))
    assert "seen items excluded" in text
    assert "an order without a clock" in text
    assert "review 33.3% of events" in text
    assert text.splitlines()[-2] == "left out         nothing"
