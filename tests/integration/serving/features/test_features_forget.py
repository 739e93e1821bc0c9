"""A user who wants to be forgotten, on sqlite and on a real Redis."""

import pytest
from click.testing import CliRunner
from features_shop import OPENING, catalog, click
from pydantic import SecretStr

from gream.cli import main
from gream.errors import RequestError
from serving.contracts import FeatureStoreError
from serving.features.build import build_features
from serving.features.forget import forget_user

pytestmark = pytest.mark.integration

ANN = "ann, who leaves"
BOB = [("bob", "i3", OPENING + 9)]
EVENTS = [(ANN, "i1", OPENING), (ANN, "i2", OPENING), *BOB]
NOVEL = "a novel that nobody else met"


def keep_writes(client):
    """Redis keeps them as on a cluster from here on: in an append-only file and nowhere else."""
    client.config_set("appendonly", "yes")
    while client.info("persistence")["aof_rewrite_in_progress"]:
        pass


@pytest.fixture
def times_on_disk(settings, tmp_path, request):
    """Counts a text in all files: those of the replica, and those of its Redis."""
    if settings.online_store == "redis":
        keep_writes(request.getfixturevalue("redis_server").client())

    def count(text):
        return sum(file.read_bytes().count(text.encode()) for file in tmp_path.rglob("*") if file.is_file())

    return count


def test_nothing_is_left_of_a_user_and_all_of_the_others(times_on_disk, reader, settings):
    reader.push([click(ANN, NOVEL, OPENING + 20), click("bob", "i5", OPENING + 20)])
    reader.push([click(ANN, "i4", OPENING + 21)])
    build_features(catalog(BOB), settings)
    assert reader.history(ANN).item_ids == ("i1", "i2", NOVEL, "i4")  # A build takes nobody away.
    assert min(times_on_disk(ANN), times_on_disk(NOVEL)) >= 1
    assert forget_user(ANN, settings) is True
    assert (times_on_disk(ANN), times_on_disk(NOVEL)) == (0, 0)
    assert reader.history(ANN) is None
    statistics = reader.store.get_online_features(["user_statistics:event_count"], [{"user_id": ANN}]).to_dict()
    assert statistics["event_count"] == [None]
    assert reader.history("bob").item_ids == ("i3", "i5")
    assert forget_user(ANN, settings) is False


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_a_rewriting_that_began_before_the_deletion_is_not_taken_for_one_after_it(
    times_on_disk, reader, settings, redis_server
):
    reader.push([click("new", NOVEL, OPENING)])
    client = redis_server.client()
    client.config_set("rdb-key-save-delay", 50_000)  # Microseconds.
    client.bgrewriteaof()
    client.config_set("rdb-key-save-delay", 0)
    assert client.info("persistence")["aof_rewrite_in_progress"] == 1
    forget_user("new", settings)
    assert times_on_disk(NOVEL) == 0


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_a_client_that_may_not_have_the_append_only_file_rewritten_is_told_so(reader, settings, redis_server):
    client = redis_server.client()
    client.acl_setuser(
        "feast", enabled=True, passwords=["+x"], keys=["*"], categories=["+@all"], commands=["-bgrewriteaof"]
    )
    address = redis_server.connection_string.partition(",")[0]
    lesser = settings.model_copy(update={"redis": SecretStr(f"{address},username=feast,password=x")})
    reader.push([click("new", "i4", OPENING), click("newer", "i4", OPENING)])
    assert forget_user("new", lesser) is True  # There is no such file.
    keep_writes(client)
    with pytest.raises(
        FeatureStoreError, match=r"the user is deleted, but .* \(.*permissions.*\)\. .* BGREWRITEAOF as"
    ):
        forget_user("newer", lesser)
    assert reader.history("newer") is None


def test_a_user_who_comes_again_begins_anew(reader, settings):
    reader.push([click("new", "i4", OPENING + 20)])
    assert forget_user("new", settings) is True
    reader.push([click("new", "i6", OPENING + 5)])
    assert reader.history("new").item_ids == ("i6",)


def test_whom_the_next_build_would_bring_back_is_not_forgotten(reader, settings):
    with pytest.raises(RequestError, match=f"the catalog of the last build has the user '{ANN}', and the next build"):
        forget_user(ANN, settings)
    assert reader.history(ANN).item_ids == ("i1", "i2")


def test_the_command_says_what_it_found(monkeypatch, tmp_path):
    monkeypatch.setenv("GREAM_STATE", str(tmp_path / "state"))

    def invoke(*arguments):
        return CliRunner().invoke(main, ["features", *arguments]).output

    for number, events in enumerate((EVENTS, BOB)):
        catalog(events).save(tmp_path / str(number))
        invoke("build", "--catalog", str(tmp_path / str(number)))
    assert [invoke("forget", user) for user in (ANN, ANN)] == [
        "forgotten\n",
        "the online store did not know this user\n",
    ]
    assert "has the user 'bob'" in invoke("forget", "bob")
