"""The index of a retraining: the champion's while it will do, a new one where it will not."""

from dataclasses import replace

import pytest

from gream.corpora.replay import Replay, replay_split
from gream.data.catalog import Catalog
from gream.enrichment.profiles import ItemProfiles
from gream.indexing import SemanticIndex
from gream.indexing.build import build_index
from gream.indexing.collision_limit import AS_MADE, AUDIT, rate_as_made
from gream.indexing.same_language import speaks_like
from gream.stages import enrich, index, ingest
from gream.stages.store import open_run, stage_facts

pytestmark = pytest.mark.unit

SETTINGS = ["data.k_core=0", "index.levels=2", "index.codebook_size=16", "index.shrink_to_catalog=false"]
KINDS = ["lamp", "chair", "table", "sofa", "shelf", "garden rake", "chess board", "jazz record"]
COLOURS = ["Red", "Green", "Blue", "Black"]


def shop(folder, titles):
    folder.mkdir()
    rows = [f"{title.replace(' ', '-')},{title}" for title in titles]
    events = [f"u{n},{rows[(n + step) % 8].split(',')[0]},{step}" for n in range(8) for step in range(4)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *rows]) + "\n")
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    return folder


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    return open_run("laptop", SETTINGS, 0, str(tmp_path_factory.mktemp("workspace")))


@pytest.fixture(scope="module")
def texts(context, tmp_path_factory):
    """Catalog and profiles of a shop with these titles."""

    def texts(*titles):
        catalog = ingest.run(str(shop(tmp_path_factory.mktemp("shop") / "tables", titles)), "as-dataset", context)
        return catalog, enrich.run(catalog, context)

    return texts


OLD = [f"{colour} {kind}" for kind in KINDS for colour in COLOURS]


@pytest.fixture(scope="module")
def base(texts, context):
    return index.run(*texts(*OLD), context)


def test_a_new_item_joins_and_the_audit_is_that_of_all(base, texts, context):
    made = index.update(*texts(*OLD, "Purple piano"), base, context)
    old, new = SemanticIndex.load(base), SemanticIndex.load(made)
    assert speaks_like(new, old)
    assert new.item_ids == (*old.item_ids, "Purple-piano")
    assert stage_facts(made)["notes"] == {"anew": None}
    assert new.facts[AUDIT]["items"] == len(OLD) + 1
    assert new.facts[AUDIT]["collision_rate"] < 0.05


def test_too_many_who_would_collide_are_indexed_anew(base, texts, context, capsys):
    """Eight more of what is there: the nearest codes are taken."""
    more = texts(*OLD, *[f"{title} " + "again" for title in OLD[::4]])
    made = index.update(*more, base, context)
    assert "would share all codes with another; the limit is 5.0%." in stage_facts(made)["notes"]["anew"]
    assert "[3/8 index] onto the champion's: indexed anew: " in capsys.readouterr().err
    assert not speaks_like(SemanticIndex.load(made), SemanticIndex.load(base))
    # Who was taken with whom is read in all of what the retraining trains on; a training leaves the last two out.
    shop, profiles = Catalog.load(more[0]), ItemProfiles.load(more[1]).texts
    whole = replay_split(shop, Replay.anew(), seed=0)
    anew, _ = build_index(shop, profiles, context.profile.index, seed=0, split=whole)
    assert SemanticIndex.load(made).item_tokens == anew.item_tokens
    assert SemanticIndex.load(index.run(*more, context)).item_tokens != anew.item_tokens


def test_an_index_that_was_made_with_so_many_collisions_goes_on(base, texts, context, tmp_path):
    """Made anew it would have them again."""
    old = SemanticIndex.load(base)
    replace(old, facts=old.facts | {AS_MADE: 0.8}).save(tmp_path / "crowded")
    made = index.update(*texts(*OLD, *[f"{title} again" for title in OLD[::2]]), tmp_path / "crowded", context)
    new = SemanticIndex.load(made)
    assert new.facts[AUDIT]["collision_rate"] >= 0.05
    assert stage_facts(made)["notes"] == {"anew": None}
    assert rate_as_made(new) == 0.8


def test_an_imported_index_is_replaced(base, texts, context, tmp_path):
    old = SemanticIndex.load(base)
    SemanticIndex.from_codes(old.item_ids, old.codes, old.level_sizes).save(tmp_path / "imported")
    made = index.update(*texts(*OLD), tmp_path / "imported", context)
    assert "was imported and cannot take new items" in stage_facts(made)["notes"]["anew"]


def test_it_is_the_base_that_decides(base, texts, context, tmp_path):
    first = index.update(*texts(*OLD, "Purple piano"), base, context)
    assert index.update(*texts(*OLD, "Purple piano"), base, context) == first
    other = SemanticIndex.load(base)
    SemanticIndex.from_codes(other.item_ids, other.codes, other.level_sizes).save(tmp_path / "other")
    assert index.update(*texts(*OLD, "Purple piano"), tmp_path / "other", context) != first
