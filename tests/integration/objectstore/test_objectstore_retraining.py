"""A retraining's inputs in a real S3 server: the champion's bundle, the catalog, and all feedback since."""

import polars as pl
import pytest

from gream.artifacts import atomic_folder, content_digest
from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from gream.data.fresh import Cut
from gream.errors import StoreError
from gream.monitoring.evidence import FEEDBACK_SCHEMA, Window
from gream.monitoring.evidence_store import push_evidence
from gream.monitoring.feedback_store import pull_feedback
from gream.monitoring.runs import RunOrder
from gream.objectstore import publish_artifact
from gream.promotion.champion import install, open_champion
from gream.stages import champion, refresh
from gream.stages.refresh import FreshData
from gream.stages.store import open_run
from pipelines import local_retraining
from pipelines.local_retraining import RetrainResult
from pipelines.monitor.local_runs import LocalRuns

pytestmark = pytest.mark.integration

START = 20_000 * 86_400
HOUR = 3_600


@pytest.fixture
def evidence(bucket, tmp_path):
    """URI of three hours of feedback, one event each, and of a request log that nobody asks for."""
    for hour in range(3):
        folder = tmp_path / "served" / "feedback" / "date=2024-10-04" / f"hour={hour:02}"
        folder.mkdir(parents=True)
        at = START + hour * HOUR
        row = (f"e{hour}", "ada", "abc"[hour], "click", at, None, at)
        pl.DataFrame([row], schema=FEEDBACK_SCHEMA, orient="row").write_parquet(folder / "part-1-1.parquet")
    requests = tmp_path / "served" / "requests" / "date=2024-10-04" / "hour=00"
    requests.mkdir(parents=True)
    (requests / "part-9.parquet").write_bytes(b"large")
    uri = f"s3://{bucket}/shop/evidence"
    push_evidence(tmp_path / "served", uri)
    return uri


def test_feedback_of_a_stretch_comes_once(evidence, tmp_path):
    window = Window(1, START + HOUR + 1)
    assert pull_feedback(evidence, window, tmp_path / "here") == 2
    assert pull_feedback(evidence, window, tmp_path / "here") == 0
    found = sorted(path.parent.name for path in (tmp_path / "here").rglob("part-*"))
    assert found == ["hour=00", "hour=01"]
    (damaged, _) = sorted((tmp_path / "here").rglob("part-*"))
    damaged.write_bytes(b"half")
    assert pull_feedback(evidence, window, tmp_path / "here") == 1


def test_feedback_that_was_deleted_or_is_too_old_stays_in_no_workspace(evidence, bucket, seaweed, tmp_path):
    def hours(since):
        pull_feedback(evidence, Window(since, START + 2 * HOUR), tmp_path / "here")
        return sorted(path.parent.name for path in (tmp_path / "here").rglob("part-*"))

    assert pull_feedback(evidence, Window(1, START + 3 * HOUR), tmp_path / "here") == 3
    assert hours(since=1) == ["hour=00", "hour=01", "hour=02"]  # The last one may be another run's.
    seaweed.client.remove_object(bucket, "shop/evidence/feedback/date=2024-10-04/hour=01/part-1-1.parquet")
    assert hours(since=1) == ["hour=00", "hour=02"]
    assert hours(since=START + HOUR) == ["hour=02"]


def publish_shop(bucket, folder, names):
    """A catalog of these items, of which ada took a; its URI."""
    items = pl.DataFrame([(i, f"Item {i}", "", "", []) for i in names], schema=ITEM_SCHEMA, orient="row")
    events = pl.DataFrame({"user_id": ["ada"], "item_id": ["a"], "timestamp": [START - 9]})
    Catalog(events, items, CatalogFacts(dataset="shop", source="made up", exclude_seen=True)).save(folder)
    uri = f"s3://{bucket}/shop/catalog"
    publish_artifact(folder, uri)
    return uri


def test_a_run_of_the_monitor_that_was_killed_goes_on_with_the_catalog_that_it_began_with(
    bucket, evidence, tmp_path, monkeypatch
):
    uri, made = publish_shop(bucket, tmp_path / "shop", "abc"), []

    def retrain(request):
        data = FreshData(request.data, request.evidence, "", Cut(request.hold_out_since, request.until))
        made.append(refresh.run(data, open_run("laptop", [], 0, str(request.workspace))))
        if len(made) == 1:
            raise KeyboardInterrupt
        return RetrainResult("promoted", "It is better.", request.out)

    monkeypatch.setattr(local_retraining, "retrain_locally", retrain)
    places = {"champion": "", "data": uri, "evidence": evidence, "decisions": "", "canary": ""}
    paths = {"workspace": tmp_path / "workspace", "out": tmp_path / "out"}
    runs = LocalRuns(**places, profile="laptop", overrides=(), **paths)
    first, later = (
        RunOrder(decision, "retrain", until=START + 3 * HOUR, hold_out_since=START + 2 * HOUR, seed=0)
        for decision in ("champion-1-2", "champion-2-3")
    )
    with pytest.raises(KeyboardInterrupt):
        runs.start(first)
    publish_shop(bucket, tmp_path / "shop", "abcd")
    runs.start(first)
    assert made[1] == made[0]
    runs.start(later)
    assert [Catalog.load(catalog).items["item_id"].to_list() for catalog, _ in made[1:]] == [list("abc"), list("abcd")]


def test_stages_take_the_same_from_a_store_and_from_folders(bucket, evidence, tmp_path):
    uri = publish_shop(bucket, tmp_path / "shop", "abc")
    cut = Cut(START + 2 * HOUR, START + 3 * HOUR)
    near, far = (open_run("laptop", [], 0, str(tmp_path / place)) for place in ("near", "far"))
    stored = refresh.run(FreshData(uri, evidence, "", cut), far)
    local = refresh.run(FreshData(str(tmp_path / "shop"), str(tmp_path / "served"), "", cut), near)
    assert [path.name for path in stored] == [path.name for path in local]
    assert Catalog.load(stored[0]).sequences() == {"ada": ["a", "b"]}


def test_champion_comes_from_a_store(bucket, tmp_path):
    with atomic_folder(tmp_path / "bundle", "policy") as folder:
        (folder / "weights").write_text("A")
    place = f"s3://{bucket}/champions"
    install(open_champion(place), tmp_path / "bundle")
    made = champion.run(place, "retrain", "", "", open_run("laptop", [], 0, str(tmp_path / "workspace")))
    assert content_digest(made) == content_digest(tmp_path / "bundle")
    with pytest.raises(StoreError, match="has no complete version"):
        open_champion(place).fetch("0" * 64, tmp_path / "cache")
