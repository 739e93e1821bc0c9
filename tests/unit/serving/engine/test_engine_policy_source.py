import shutil

import pytest

from gream.artifacts import atomic_folder, content_digest
from gream.errors import ArtifactError, ConfigError
from serving.engine.policy_source import PolicySource

pytestmark = pytest.mark.unit


def write(folder, words):
    with atomic_folder(folder, "policy") as staging:
        (staging / "index").mkdir()
        (staging / "weights").write_text(words)
        (staging / "index" / "items").write_text(words)
    return content_digest(folder)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "a policy", "one")
    return tmp_path / "a policy"


def test_every_way_to_name_a_folder(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    named = [str(folder), folder.as_uri(), str(tmp_path / "latest")]
    sources = [PolicySource(uri, tmp_path / "cache") for uri in named]
    assert {source.digest() for source in sources} == {content_digest(folder)}
    assert {source.fetch() for source in sources} == {tmp_path / "cache" / content_digest(folder)}


def test_what_was_fetched_stays_when_the_folder_is_replaced(folder, tmp_path):
    source = PolicySource(str(folder), tmp_path / "cache")
    first = source.fetch()
    assert (first / "weights").stat().st_ino == (folder / "weights").stat().st_ino  # No second copy on the disk.
    digest = write(folder, "two")
    assert source.digest() == digest
    second = source.fetch()
    assert [(bundle / "index" / "items").read_text() for bundle in (first, second)] == ["one", "two"]
    (tmp_path / "cache" / ".partial-of a process that died").mkdir()
    source.keep_only(second)
    assert list((tmp_path / "cache").iterdir()) == [second]


def test_a_link_that_moves_is_another_policy(folder, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(folder)
    source = PolicySource(str(link), tmp_path / "cache")
    before = source.digest()
    digest = write(tmp_path / "other", "two")
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert source.digest() == digest != before


def test_a_damaged_policy_never_reaches_the_cache(folder, tmp_path):
    (folder / "weights").write_text("0ne")
    source = PolicySource(str(folder), tmp_path / "cache")
    with pytest.raises(ArtifactError, match="weights is missing or damaged"):
        source.fetch()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_copy_whose_source_is_damaged_too_is_not_served(folder, tmp_path):
    source = PolicySource(str(folder), tmp_path / "cache")
    (source.fetch() / "weights").write_text("changed by somebody")  # One file with two names.
    with pytest.raises(ArtifactError, match="weights is missing or damaged"):
        source.fetch()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("file", ["weights", "manifest.json"])
def test_a_damaged_copy_is_made_anew(folder, tmp_path, file):
    source = PolicySource(str(folder), tmp_path / "cache")
    copy = source.fetch()
    (copy / file).unlink()
    (copy / file).write_text("{")
    assert source.fetch() == copy
    assert (copy / "weights").read_text() == "one"
    assert content_digest(copy) == copy.name


def test_nothing_there(folder, tmp_path):
    shutil.rmtree(folder)
    with pytest.raises(ArtifactError, match="there is no folder"):
        PolicySource(str(folder), tmp_path / "cache").digest()


@pytest.mark.parametrize("uri", ["https://example.org/policy", "file://elsewhere/policy"])
def test_other_uris_are_refused(uri, tmp_path):
    with pytest.raises(ConfigError, match="give a folder, file://FOLDER or s3://BUCKET/PREFIX"):
        PolicySource(uri, tmp_path)
