"""The monitoring pipeline: a round on KFP is a round of `gream monitor`."""

import subprocess
from types import SimpleNamespace

import pytest

from components.monitor.component import monitor as component
from pipelines.cluster import Cluster
from pipelines.monitor.commands import monitor as command

pytestmark = pytest.mark.unit

OF_THE_POD = {"cache", "runs_on", "workspace"}
"""Options of the command that are not asked for in a form: KFP's steps have their own."""


@pytest.fixture
def play_round(tmp_path):
    """One round with a form; its `status` is written to the file that is returned."""

    def play(**form):
        names = ("champion", "catalog", "evidence", "decisions", "canary", "calibrations", "evidently", "alertmanager")
        empty = dict.fromkeys((*names, "settings", "kfp_endpoint"), "") | {"profile": "laptop", "overrides": []}
        page = tmp_path / "status.md"
        component.python_func(SimpleNamespace(path=str(page)), **empty | form)
        return page

    return play


def test_the_form_has_all_that_the_command_has(compiled):
    form = compiled(Cluster(), "monitoring").spec["root"]["inputDefinitions"]["parameters"]
    assert set(form) == {option.name for option in command.params} - OF_THE_POD | {"kfp_endpoint"}
    assert form["alertmanager"]["defaultValue"] == ""


def test_what_the_form_says_is_what_the_command_is_told(play_round, monkeypatch):
    given = []

    def run(words, **_):
        given.append(words)
        return subprocess.CompletedProcess(words, 0, "all is well\n")

    monkeypatch.setattr(subprocess, "run", run)
    page = play_round(alertmanager="http://alertmanager:9093", canary="s3://gream/canary", overrides=["a.b=1"])
    words = given[0]
    told = {words[at]: words[at + 1] for at in range(words.index("monitor") + 1, len(words), 2)}
    assert told["--alertmanager"] == "http://alertmanager:9093"
    assert told["--canary"] == "s3://gream/canary"
    assert told["--set"] == "a.b=1"
    assert page.read_text() == "```\nall is well\n```\n"


def test_a_round_that_fails_says_why_although_its_status_fails_too(play_round, monkeypatch, capfd):
    for variable in ("GREAM_EVIDENCE_KEY", "GREAM_S3_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SystemExit) as ended:
        play_round(champion="s3://gream/champion", decisions="s3://gream/decisions.jsonl")
    assert ended.value.code == 1
    (sentence,) = capfd.readouterr().err.splitlines()
    assert "GREAM_EVIDENCE_KEY is not set" in sentence
