"""Item texts, the template backend and the artifact, from a catalog."""

import polars as pl
import pytest

from gream import columns
from gream.artifacts import content_digest, open_artifact
from gream.config import EnrichmentConfig
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.enrichment.accounting import Usage
from gream.enrichment.enrich import enrich_catalog
from gream.enrichment.item_text import DESCRIPTION_LENGTH, item_texts
from gream.enrichment.profiles import SCHEMA, ItemProfiles, ProfileFacts
from gream.enrichment.template import template_profile
from gream.errors import ArtifactError, ConfigError, DataError

pytestmark = pytest.mark.unit


def make_catalog(events, items):
    """`events`: (user, item, time, review); `items`: (id, title, description, brand, categories)."""
    return Catalog(
        interactions=pl.DataFrame(events, schema=INTERACTION_SCHEMA | {columns.REVIEW: pl.String}, orient="row"),
        items=pl.DataFrame(items, schema=ITEM_SCHEMA, orient="row"),
        facts=CatalogFacts(dataset="tiny", source="test", exclude_seen=True),
    )


ITEMS = [(name, f"Title {name}", "", "", []) for name in "abcd"]


def test_only_training_events_give_reviews():
    events = [
        ("u1", "a", 1, "u1 trains on a"),
        ("u1", "b", 2, "u1 trains on b"),
        ("u1", "c", 3, "u1 validates on c"),
        ("u1", "d", 4, "u1 tests on d"),
        # Two events are no history to split: both train.
        ("u2", "c", 5, "u2 trains on c"),
        ("u2", "d", 6, "u2 trains on d"),
        # The same item again, later and held out: the training review stays, the held-out one goes.
        ("u3", "a", 7, "u3 trains on a"),
        ("u3", "b", 8, "u3 validates on b"),
        ("u3", "a", 9, "u3 tests on a"),
    ]
    texts = item_texts(make_catalog(events, ITEMS), max_reviews=5)
    assert [text.reviews for text in texts] == [
        ("u3 trains on a", "u1 trains on a"),
        ("u1 trains on b",),
        ("u2 trains on c",),
        ("u2 trains on d",),
    ]


def test_the_most_recent_reviews_are_kept_and_empty_ones_skipped():
    events = [(f"u{n}", "a", n, review) for n, review in enumerate(["oldest", None, "  ", "newer", "newest"])]
    events += [("v", name, 10 + n, None) for n, name in enumerate("abc")]
    texts = item_texts(make_catalog(events, ITEMS), max_reviews=2)
    assert texts[0].reviews == ("newest", "newer")
    assert item_texts(make_catalog(events, ITEMS), max_reviews=0)[0].reviews == ()


def test_fields_are_cleaned_and_cut():
    items = [("a", "<b>Alien</b>&nbsp;(1979)", "word " * 1_000, "A\x00cme", ["Horror", "<br>", "Sci-Fi <|a_1|>"])]
    (text,) = item_texts(make_catalog([("u", "a", n, None) for n in range(3)], items), max_reviews=3)
    assert (text.title, text.brand, text.categories) == ("Alien (1979)", "A cme", ("Horror", "Sci-Fi"))
    assert DESCRIPTION_LENGTH - len("word ") <= len(text.description) <= DESCRIPTION_LENGTH
    assert text.description.endswith("word")
    assert set(text.data()) == {"title", "brand", "categories", "description"}


def test_what_an_untitled_item_is_called_is_no_title():
    items = [("a", "Item a", "For the bath.", "", []), ("b", "Item a", "", "", [])]
    untitled, titled = item_texts(make_catalog([("u", "a", n, None) for n in range(3)], items), max_reviews=0)
    assert untitled.data() == {"description": "For the bath."}
    assert template_profile(untitled) == "An item without a title. For the bath."
    assert titled.title == "Item a"


def test_template_profiles_survive_a_round_trip(tmp_path):
    catalog = make_catalog([("u", name, n, None) for n, name in enumerate("abcd")], ITEMS)
    profiles = enrich_catalog(catalog, EnrichmentConfig(), tmp_path / "unused.sqlite")
    assert profiles.texts == {name: f"Title {name}." for name in "abcd"}
    assert profiles.frame[columns.SOURCE].to_list() == ["template"] * 4
    assert profiles.facts.usage == Usage()
    profiles.save(tmp_path / "one")
    profiles.save(tmp_path / "two")
    loaded = ItemProfiles.load(tmp_path / "one")
    assert loaded.facts == profiles.facts
    assert loaded.frame.equals(profiles.frame)
    assert content_digest(tmp_path / "one") == content_digest(tmp_path / "two")
    assert open_artifact(tmp_path / "one", "item_profiles")["counts"] == {"llm": 0, "template": 4}
    assert not (tmp_path / "unused.sqlite").exists()


def test_a_catalog_is_not_a_set_of_profiles(tmp_path):
    make_catalog([("u", "a", 1, None)], ITEMS).save(tmp_path / "catalog")
    with pytest.raises(ArtifactError, match="item_profiles"):
        ItemProfiles.load(tmp_path / "catalog")


@pytest.mark.parametrize(
    ("ids", "texts", "words"),
    [(["a", "a"], ["x", "y"], "'a' appears twice"), (["a", "b"], ["x", " "], "'b' has an empty profile")],
)
def test_profiles_are_one_text_for_each_item(ids, texts, words):
    frame = pl.DataFrame([ids, texts, ["template"] * 2], schema=SCHEMA)
    facts = ProfileFacts(backend="template", model="", prompts_version=1, usage=Usage())
    with pytest.raises(DataError, match=words):
        ItemProfiles(frame, facts)


def test_a_model_must_be_named(tmp_path, monkeypatch):
    catalog = make_catalog([("u", "a", n, None) for n in range(3)], ITEMS)
    with pytest.raises(ConfigError, match=r"enrichment\.model is empty"):
        enrich_catalog(catalog, EnrichmentConfig(backend="openai"), tmp_path / "cache.sqlite")
    monkeypatch.delenv("GREAM_LLM_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="GREAM_LLM_BASE_URL"):
        enrich_catalog(catalog, EnrichmentConfig(backend="openai", model="m"), tmp_path / "cache.sqlite")
