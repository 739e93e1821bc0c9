"""`gream store`, and a published catalog as the data of a run."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from gream.artifacts import content_digest
from gream.cli import main
from gream.data.catalog import Catalog
from gream.objectstore import upload_artifact
from gream.objectstore.bucket import Bucket
from gream.objectstore.prune import prune

pytestmark = pytest.mark.integration


@pytest.fixture
def invoke():
    return lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_publish_fetch_show(bucket, make_artifact, tmp_path, invoke):
    uri = f"s3://{bucket}/models/movies"
    published = [
        invoke("store", "publish", str(make_artifact(name, weights=name.encode())), uri).stdout.strip()
        for name in ("first", "second")
    ]
    assert [text.split("@")[0] for text in published] == [uri, uri]
    shown = invoke("store", "show", uri).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["2", "1"]
    assert [f"{uri}@{line.split()[-1]}" for line in shown] == [published[1], published[0]]
    for source, content in ((uri, b"second"), (published[0], b"first")):
        fetched = invoke("store", "fetch", source, "--cache", str(tmp_path / "cache")).stdout.strip()
        assert (tmp_path / fetched / "deep" / "weights").read_bytes() == content


def test_old_versions_go_and_those_that_rollbacks_go_to_stay(bucket, make_artifact, invoke, keys):
    uri = f"s3://{bucket}/models/movies"
    digests = [
        invoke("store", "publish", str(make_artifact(name, weights=name.encode())), uri).stdout.strip()[-64:]
        for name in ("first", "second", "third", "fourth")
    ]
    upload_artifact(make_artifact("judged", weights=b"judged"), uri)  # No pointer names it yet.
    invoke("store", "publish", str(make_artifact("again", weights=b"second")), uri)  # A rollback.
    assert invoke("store", "prune", uri, "--keep", "2").stdout == ""  # All of today.
    pruned = invoke("store", "prune", uri, "--keep", "2", "--older-than", "0").stdout.splitlines()
    gone = sorted([digests[2], digests[3], content_digest(make_artifact("other", weights=b"judged"))])
    assert pruned == [f"deleted {digest}" for digest in gone]
    left = {key.split("/")[3] for key in keys() if "/versions/" in key}
    assert left == {digests[0], digests[1]}  # What another rollback goes to.
    assert invoke("store", "fetch", uri).exit_code == 0
    assert [line.split()[0] for line in invoke("store", "show", uri).stdout.splitlines()] == list("54321")


def test_a_prune_that_was_killed_leaves_no_version_that_looks_whole(bucket, make_artifact, invoke, keys, monkeypatch):
    uri = f"s3://{bucket}/models/movies"
    for name in ("first", "second"):
        invoke("store", "publish", str(make_artifact(name, weights=name.encode())), uri)
    delete = Bucket.delete

    def killed(self, which):
        which = list(which)
        if not which[0].endswith("manifest.json"):
            raise KeyboardInterrupt
        delete(self, which)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(uri, 1, timedelta(0), datetime.now(UTC) + timedelta(seconds=1))
    left = sorted(key.rpartition("/")[2] for key in keys() if "/versions/" in key)
    assert left == ["manifest.json", "weights", "weights"]
    assert len(prune(uri, 1, timedelta(0), datetime.now(UTC) + timedelta(seconds=1))) == 1
    assert len({key.split("/")[3] for key in keys() if "/versions/" in key}) == 1


@pytest.mark.parametrize("command", ["fetch", "show"])
def test_nothing_published_is_one_sentence(bucket, invoke, command):
    result = invoke("store", command, f"s3://{bucket}/nothing")
    assert result.exit_code == 1
    assert result.stderr == f"Error: Nothing is published at s3://{bucket}/nothing.\n"


def test_a_run_reads_its_catalog_from_the_store(bucket, tmp_path, invoke, monkeypatch):
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "interactions.csv").write_text("user_id,item_id,timestamp\nu,a,1000000001\nu,b,1000000002\n")
    (shop / "items.csv").write_text("item_id,title\na,Lamp\nb,Chair\n")
    options = ("--set", "data.k_core=0", "--workspace")
    uri, out = f"s3://{bucket}/catalogs/shop", tmp_path / "catalog"
    assert invoke("data", "--data", str(shop), *options, str(tmp_path / "a"), "--out", str(out)).exit_code == 0
    invoke("store", "publish", str(out), uri)
    assert invoke("data", "--data", uri, *options, str(tmp_path / "b")).exit_code == 0
    (folder,) = (tmp_path / "b" / "ingest").glob("*[!k]")
    assert Catalog.load(folder).sequences() == {"u": ["a", "b"]}
    assert "reused" in invoke("data", "--data", uri, *options, str(tmp_path / "b")).stderr

    (shop / "items.csv").write_text("item_id,title\na,Lamp\nb,Stool\n")
    invoke("data", "--data", str(shop), *options, str(tmp_path / "a"), "--out", str(out))
    invoke("store", "publish", str(out), uri)
    assert "reused" not in invoke("data", "--data", uri, *options, str(tmp_path / "b")).stderr
    settings = [json.loads(path.read_text())["settings"] for path in (tmp_path / "b" / "ingest").glob("*/stage.json")]
    assert len({entry["source"] for entry in settings}) == 2
