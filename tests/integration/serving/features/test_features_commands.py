"""`gream features`, and Feast's own command line on the same repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from features_shop import OPENING, catalog, click

import feature_repo
from gream.cli import main
from serving.features.reader import FeastUserFeatures
from serving.settings import ServingSettings

pytestmark = pytest.mark.integration

EVENTS = [("ann", "i1", OPENING), ("ann", "i2", OPENING + 60), ("bob", "i3", OPENING)]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.setenv("GREAM_STATE", str(tmp_path / "state"))
    catalog(EVENTS).save(tmp_path / "catalog")
    return lambda *arguments: CliRunner().invoke(main, ["features", *arguments], catch_exceptions=False)


def test_build_refresh_and_show(invoke, tmp_path):
    built = invoke("build", "--catalog", str(tmp_path / "catalog"))
    assert built.output == "2 users and 12 items of shop are online\n"
    assert invoke("build", "--catalog", str(tmp_path / "catalog")).output == built.output
    catalog([*EVENTS, ("ann", "i4", OPENING + 3_600)]).save(tmp_path / "newer")
    assert invoke("refresh", "--catalog", str(tmp_path / "newer")).output == "what is online is up to date\n"
    reader = FeastUserFeatures(ServingSettings())
    reader.push([click("ann", "new", OPENING + 3_601), click("cid", "i1", OPENING)])
    reader.close()
    assert invoke("show", "ann", "--last", "3").output.splitlines() == [
        "events kept: 4; in the catalog of the last build: 3, 1,800 s apart on average",
        "2023-11-14 22:14:20  i2  Title of i2",
        "2023-11-14 23:13:20  i4  Title of i4",
        "2023-11-14 23:13:21  new  (not in the catalog)",
    ]
    assert invoke("show", "cid").output.startswith("events kept: 1; in the catalog of the last build: none\n")


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["show", "nobody"], {}, "the feature store does not know the user 'nobody'."),
        (["refresh"], {}, "Run `gream features build --catalog FOLDER` first."),
        (["show", "ann"], {"GREAM_ONLINE_STORE": "mysql"}, "GREAM_ONLINE_STORE = 'mysql' is not allowed"),
        (
            ["show", "ann"],
            {"GREAM_ONLINE_STORE": "redis", "GREAM_REDIS": "127.0.0.1:1"},
            "the online store did not answer within 0.5 s",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(invoke, monkeypatch, arguments, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_feast_itself_applies_the_repository(tmp_path):
    online = {"type": "sqlite", "path": str(tmp_path / "online.db")}
    command = [Path(sys.executable).with_name("feast"), "--chdir", Path(feature_repo.__file__).parent, "apply"]
    variables = {"GREAM_FEATURES": str(tmp_path), "GREAM_FEATURES_ONLINE": json.dumps(online)}
    applied = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    views = ["user_history", "user_recent_events", "user_statistics", "item_features"]
    assert {line.removeprefix("Created ") for line in applied.stdout.splitlines() if line.startswith("Created ")} == {
        "project gream",
        "entity user",
        "entity item",
        *(f"feature view {view}" for view in views),
        "feature service recommendation",
        *(f"sqlite table gream_{view}" for view in views),
    }
