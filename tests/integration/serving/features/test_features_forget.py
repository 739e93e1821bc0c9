"""A user who wants to be forgotten, on sqlite and on a real Redis."""

import pytest
from click.testing import CliRunner
from features_shop import OPENING, catalog, click

from gream.cli import main
from gream.errors import RequestError
from serving.features.build import build_features
from serving.features.forget import forget_user

pytestmark = pytest.mark.integration

BOB = [("bob", "i3", OPENING + 9)]
EVENTS = [("ann", "i1", OPENING), ("ann", "i2", OPENING), *BOB]


def test_nothing_is_left_of_a_user_and_all_of_the_others(reader, settings):
    reader.push([click("ann", "i4", OPENING + 20), click("bob", "i5", OPENING + 20)])
    build_features(catalog(BOB), settings)
    assert reader.history("ann").item_ids == ("i1", "i2", "i4")  # A build takes nobody away.
    assert forget_user("ann", settings) is True
    assert reader.history("ann") is None
    statistics = reader.store.get_online_features(["user_statistics:event_count"], [{"user_id": "ann"}]).to_dict()
    assert statistics["event_count"] == [None]
    assert reader.history("bob").item_ids == ("i3", "i5")
    assert forget_user("ann", settings) is False


def test_a_user_who_comes_again_begins_anew(reader, settings):
    reader.push([click("new", "i4", OPENING + 20)])
    assert forget_user("new", settings) is True
    reader.push([click("new", "i6", OPENING + 5)])
    assert reader.history("new").item_ids == ("i6",)


def test_whom_the_next_build_would_bring_back_is_not_forgotten(reader, settings):
    with pytest.raises(RequestError, match="the catalog of the last build has the user 'ann', and the next build"):
        forget_user("ann", settings)
    assert reader.history("ann").item_ids == ("i1", "i2")


def test_the_command_says_what_it_found(monkeypatch, tmp_path):
    monkeypatch.setenv("GREAM_STATE", str(tmp_path / "state"))

    def invoke(*arguments):
        return CliRunner().invoke(main, ["features", *arguments]).output

    for number, events in enumerate((EVENTS, BOB)):
        catalog(events).save(tmp_path / str(number))
        invoke("build", "--catalog", str(tmp_path / str(number)))
    assert [invoke("forget", user) for user in ("ann", "ann")] == [
        "forgotten\n",
        "the online store did not know this user\n",
    ]
    assert "has the user 'bob'" in invoke("forget", "bob")
