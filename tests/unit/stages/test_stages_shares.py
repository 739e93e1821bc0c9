"""However many shares a stage is done in, the same output comes out, and only shares of this very work are taken."""

from pathlib import Path

import pytest

from gream.artifacts import content_digest
from gream.enrichment.profiles import ItemProfiles
from gream.errors import ArtifactError, ConfigError
from gream.share import Share
from gream.stages import enrich, index, ingest
from gream.stages.store import RunContext, open_run, stage_facts

pytestmark = pytest.mark.unit

KINDS = ["lamp", "chair", "table", "sofa", "shelf"]
SETTINGS = ["data.k_core=0", "index.levels=2", "index.codebook_size=4", "index.encoder_batch=2"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Eleven items, two of them without a word beyond their title."""
    folder = tmp_path_factory.mktemp("shop")
    rows = [f"i{n},{'Oak' if n % 2 else 'Steel'} {KINDS[n % 5]} No. {n},{'of the best kind ' * n}" for n in range(11)]
    events = [f"u{user},i{(user + step) % 11},{1_000 + step}" for user in range(11) for step in range(5)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,description", *rows]) + "\n")
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    return folder


def run_of(workspace: Path, *settings: str, seed: int = 0) -> RunContext:
    return open_run("laptop", [*SETTINGS, *settings], seed, str(workspace))


@pytest.fixture(scope="module")
def whole(shop, tmp_path_factory):
    """Catalog, profiles and index of a run without shares."""
    context = run_of(tmp_path_factory.mktemp("whole"))
    catalog = ingest.run(str(shop), "as-dataset", context)
    profiles = enrich.run(catalog, context)
    return catalog, profiles, index.run(catalog, profiles, context)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_profiles_put_together_are_those_of_one_machine(whole, count, tmp_path):
    catalog, expected, _ = whole
    shares = [enrich.run_share(catalog, Share(n, count), run_of(tmp_path / f"machine-{n}")) for n in range(count)]
    joined = enrich.run(catalog, run_of(tmp_path / "joining"), shares)
    assert content_digest(joined) == content_digest(expected)
    assert stage_facts(joined)["fingerprint"] == stage_facts(expected)["fingerprint"]
    assert sum(len(ItemProfiles.load(share).texts) for share in shares) == 11


@pytest.mark.parametrize("count", [1, 3])
def test_index_from_encoded_shares_is_that_of_one_machine(whole, count, tmp_path):
    catalog, profiles, expected = whole
    vectors = [index.encode(catalog, profiles, Share(n, count), run_of(tmp_path / f"gpu-{n}")) for n in range(count)]
    made = index.run(catalog, profiles, run_of(tmp_path / "clustering"), vectors)
    assert content_digest(made) == content_digest(expected)


@pytest.mark.usefixtures("clock")
def test_one_share_is_the_whole_and_nothing_is_done_twice(whole, tmp_path, capsys):
    catalog, context = whole[0], run_of(tmp_path)
    share = enrich.run_share(catalog, Share(0, 1), context)
    assert enrich.run(catalog, context, [share]) == share
    assert capsys.readouterr().err.splitlines() == [
        "[2/8 enrich] started",
        "[2/8 enrich] done in 7 s",
        "[2/8 enrich] done already, reused",
    ]


def test_runs_of_all_seeds_share_the_profiles_since_a_language_model_may_be_paid_for_them(whole, tmp_path):
    made = {enrich.run(whole[0], run_of(tmp_path, seed=seed)) for seed in range(3)}
    assert len(made) == 1


@pytest.mark.usefixtures("clock")
def test_a_share_that_is_there_is_not_done_again(whole, tmp_path, capsys):
    context = run_of(tmp_path)
    for _ in range(2):
        enrich.run_share(whole[0], Share(1, 3), context)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "[2/8 enrich] share 2 of 3: done in 7 s",
        "[2/8 enrich] share 2 of 3: done already, reused",
    ]


def test_shares_of_something_else_are_refused(whole, tmp_path):
    catalog, profiles, _ = whole
    context = run_of(tmp_path)
    first, second = (enrich.run_share(catalog, Share(n, 2), context) for n in range(2))
    other = enrich.run_share(catalog, Share(1, 2), run_of(tmp_path, "enrichment.max_reviews=1"))
    for wrong in ([second, first], [first], [first, other]):
        with pytest.raises(ArtifactError, match=r"is not share \d of \d of what is to be put together here"):
            enrich.run(catalog, context, wrong)
    vectors = index.encode(catalog, profiles, Share(0, 2), context)
    with pytest.raises(ArtifactError, match="is not share 1 of 1"):
        index.run(catalog, profiles, context, [vectors])


@pytest.mark.parametrize(("number", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_share_that_cannot_exist(number, count):
    with pytest.raises(ConfigError, match="does not exist"):
        Share(number, count)
