import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gream.artifacts import content_digest, file_digest, open_artifact, verify_artifact
from gream.cli import main
from gream.config import IndexConfig
from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from gream.data.transitions import transition_counts
from gream.enrichment.item_text import item_text
from gream.enrichment.template import template_profile
from gream.errors import ArtifactError, DataError
from gream.indexing.build import build_index, index_new_items
from gream.policy import extend
from gream.policy.bundle import PolicyFacts, save_policy
from gream.policy.extend import extend_policy
from gream.policy.model import build_backbone, build_tokenizer
from gream.policy.policy import Policy
from gream.policy.transition_prior import PriorWeights, TransitionPrior

pytestmark = pytest.mark.unit

TITLES = [
    f"{colour} {thing}"
    for thing in ("garden rake", "watering can", "chess board", "jazz record")
    for colour in ("Red", "Green", "Blue", "Black")
]


@pytest.fixture(scope="module")
def old(tmp_path_factory, profile):
    """A policy over sixteen items whose index was really built from their words."""
    ids = [f"i{number}" for number in range(len(TITLES))]
    texts = {"title": TITLES, "description": [""] * 16, "brand": [""] * 16, "categories": [[]] * 16}
    items = pl.DataFrame({"item_id": ids} | texts, schema=ITEM_SCHEMA)
    events = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ids[:3], "timestamp": [1, 2, 3]})
    catalog = Catalog(events, items, CatalogFacts(dataset="shed", source="made up", exclude_seen=True))
    profiles = {row["item_id"]: template_profile(item_text(row)) for row in items.iter_rows(named=True)}
    index, _ = build_index(catalog, profiles, IndexConfig(levels=2, codebook_size=6, shrink_to_catalog=False), seed=0)
    tokenizer = build_tokenizer(profile.model, TITLES, index.vocabulary)
    facts = PolicyFacts.of(profile, "shed", "sft", seed=0).model_copy(
        update={"prior": PriorWeights(direct=0.3, reasoning=0.3), "metrics": {"recall": 0.5}}
    )
    path = tmp_path_factory.mktemp("extend") / "policy"
    prior = TransitionPrior(transition_counts([range(16)], 16))
    save_policy(path, build_backbone(profile.model, tokenizer, seed=1), tokenizer, index, items, facts, prior)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("extend") / "new.csv"
    path.write_text(
        "item_id,title,profile\n"
        "007,Yellow garden rake,\n"
        "008,Thing,A watering can for the garden.\n"
        "009,Yellow garden rake,\n"
    )
    return path


@pytest.fixture(scope="module")
def new(old, table, tmp_path_factory):
    path = tmp_path_factory.mktemp("extend") / "extended"
    before = {file.name: file_digest(file) for file in old.rglob("*") if file.is_file()}
    assert extend_policy(old, table, path) == ["007", "008", "009"]
    assert before == {file.name: file_digest(file) for file in old.rglob("*") if file.is_file()}
    return path


def test_new_items_can_be_recommended_at_once(old, new):
    scores = Policy.load(new).score_all(["i0", "i5"])
    assert list(scores)[-3:] == ["007", "008", "009"]
    assert np.exp(list(scores.values())).sum() == pytest.approx(1.0)
    others = [item for item in scores if item not in ("007", "009")]
    found = Policy.load(new).recommend(["i0", "009"], k=5, exclude=others)
    assert {item.item_id for item in found} == {"007", "009"}
    assert {item.title for item in found} == {"Yellow garden rake"}


def test_old_items_keep_their_index_and_new_ones_stand_beside_their_like(old, new):
    before, after = Policy.load(old).index, Policy.load(new).index
    assert after.item_tokens[:16] == before.item_tokens
    rakes, cans = ({tokens[0] for tokens in before.item_tokens[first : first + 4]} for first in (0, 4))
    rake, can, other_rake = after.encode(["007", "008", "009"])
    assert rake[0] in rakes
    assert can[0] in cans
    assert (rake[:2], rake[2:], other_rake[2:]) == (other_rake[:2], ("<|e_1|>",), ("<|e_2|>",))


def test_an_item_without_a_title_is_found_by_its_profile_alone(old, tmp_path, monkeypatch):
    asked = {}

    def vectors(index, titles, profiles):
        asked.update(titles)
        return index_new_items(index, titles, profiles)

    monkeypatch.setattr(extend, "index_new_items", vectors)
    rows = tmp_path / "new.csv"
    rows.write_text("item_id,title,profile\n011,,A watering can for the garden.\n")
    assert extend.extend_policy(old, rows, tmp_path / "extended") == ["011"]
    assert asked == {"011": ""}
    titles = {item.item_id: item.title for item in Policy.load(tmp_path / "extended").recommend(["i0"], k=16)}
    assert titles["011"] == "Item 011"


def test_the_rest_of_the_bundle_is_as_before(old, new):
    verify_artifact(new, "policy")
    changed = {
        "items.parquet",
        "policy.json",
        *(f"semantic_index/{name}" for name in ("items.json", "arrays.npz", "manifest.json")),
    }
    files, files_before = (open_artifact(path, "policy")["files"] for path in (new, old))
    assert {name for name in files if files[name] != files_before[name]} == changed
    manifest = open_artifact(new, "policy")
    assert (manifest["items"], manifest["made_from"]) == (19, content_digest(old))
    assert Policy.load(new).facts == Policy.load(old).facts.model_copy(update={"added_items": 3})


def test_a_policy_may_be_extended_in_its_place(old, new, table, tmp_path):
    path = tmp_path / "policy"
    extend_policy(old, table, path)
    (tmp_path / "more.tsv").write_text("item_id\ttitle\n010\tBlack jazz record\n")
    output = CliRunner().invoke(
        main, ["extend", "--policy", str(path), "--items", str(tmp_path / "more.tsv"), "--out", str(path)]
    )
    assert output.exit_code == 0, output.exception
    assert output.stdout.splitlines()[-1] == f"1 items added: {path}"
    extended = Policy.load(path)
    assert extended.items["item_id"].to_list()[-2:] == ["009", "010"]
    assert extended.facts.added_items == 4
    verify_artifact(new, "policy")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("item_id,title\ni3,Another rake\n", r"item 'i3' is in the policy already \(1 such\)"),
        ("item_id,title\n", "has no rows. At least one item is needed"),
        ("item_id,name\nx,y\n", "has no column 'title'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(old, tmp_path, rows, message):
    (tmp_path / "new.csv").write_text(rows)
    with pytest.raises(DataError, match=message):
        extend_policy(old, tmp_path / "new.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_policy_without_codebooks_cannot_grow(bundle, table, tmp_path):
    with pytest.raises(DataError, match="imported without"):
        extend_policy(bundle, table, tmp_path / "out")
    with pytest.raises(ArtifactError, match="not a complete policy"):
        extend_policy(tmp_path, table, tmp_path / "out")
