"""Retrainings through a KFP server or on this machine, and the commands of the monitor."""

import multiprocessing
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from pipelines_kfp_stub import kfp_stub

from gream.cli import main
from gream.errors import ConfigError, StoreError
from gream.locks import held_if_free
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.runs import RunOrder
from gream.stages.gate import PAGE, VERDICT
from pipelines import local_retraining
from pipelines.kfp_connection import Connection
from pipelines.kfp_server import KfpError, KfpServer
from pipelines.local_retraining import RetrainResult
from pipelines.monitor.kfp_runs import KfpRuns
from pipelines.monitor.local_runs import LocalRuns

pytestmark = pytest.mark.unit

ORDER = RunOrder("champion-1-2", "retrain", until=7_200, hold_out_since=3_600, seed=5)
FORM = {"champion": "s3://gream/policies/champion", "data": "s3://gream/catalogs/current"}


@pytest.fixture
def kfp():
    with kfp_stub() as stub:
        stub.hold("gream-retraining")
        yield stub


@pytest.fixture
def runs(kfp):
    return KfpRuns(KfpServer(Connection(kfp.endpoint)), FORM)


def test_a_run_is_named_by_its_decision_and_starts_once(runs, kfp):
    assert runs.state(ORDER.decision) == "unknown"
    runs.start(ORDER)
    runs.start(ORDER)
    (run,) = kfp.runs.values()
    assert run["display_name"] == "champion-1-2"
    assert run["runtime_config"]["parameters"] == {
        **FORM,
        "action": "retrain",
        "decision": "champion-1-2",
        "until": 7_200,
        "hold_out_since": 3_600,
        "seed": 5,
    }


@pytest.mark.parametrize(
    ("said", "state"),
    [("RUNNING", "running"), ("SUCCEEDED", "succeeded"), ("FAILED", "failed"), ("CANCELED", "failed")],
)
def test_the_state_of_a_run_is_what_kfp_says(runs, kfp, said, state):
    runs.start(ORDER)
    kfp.states = [said]
    assert runs.state(ORDER.decision) == state


def test_a_server_without_the_pipeline_says_how_to_get_it_there(runs, kfp):
    kfp.pipelines.clear()
    with pytest.raises(KfpError, match=r"upload it with `gream pipelines upload`"):
        runs.start(ORDER)


def test_the_role_on_a_cluster_allows_all_that_is_asked_of_kfp(runs, kfp):
    manifests = Path(__file__).resolve().parents[3] / "k8s/base/drift-monitor.yaml"
    (role,) = [thing for thing in yaml.safe_load_all(manifests.read_text()) if thing["kind"] == "Role"]
    allowed = {(kind, verb) for rule in role["rules"] for kind in rule["resources"] for verb in rule["verbs"]}
    runs.start(ORDER)
    runs.state(ORDER.decision)
    collections = ("pipelines", "versions", "experiments", "runs")
    asked = {
        (path.split("/")[3], "create" if method == "POST" else "list" if path.endswith(collections) else "get")
        for method, path in kfp.requests
    }
    assert {("experiments", "create"), ("runs", "create"), ("runs", "get"), ("pipelines", "list")} <= asked
    assert asked <= allowed


def test_a_retraining_on_a_cluster_is_of_the_profile_that_the_environment_says(kfp, monkeypatch):
    class OneRetraining:
        def __init__(self, _places, _key, _settings, runs):
            self._runs = runs

        def round(self, _now):
            self._runs.start(ORDER)
            return []

    monkeypatch.setattr("gream.monitoring.patrol.Patrol", OneRetraining)
    variables = {
        "GREAM_EVIDENCE_KEY": "k",
        "GREAM_RUNS_ON": "kfp",
        "KFP_ENDPOINT": kfp.endpoint,
        "GREAM_PROFILE": "paper",
        "GREAM_OVERRIDES": "sft.sharding=full retrain.srpo_steps=20",
    }
    result = CliRunner().invoke(main, ["monitor"], env=variables)
    assert result.exit_code == 0, result.output
    form = kfp.runs["run-0"]["runtime_config"]["parameters"]
    assert (form["profile"], form["overrides"]) == ("paper", ["sft.sharding=full", "retrain.srpo_steps=20"])


@pytest.fixture
def here(tmp_path):
    """What each round of a monitor on this machine makes for itself."""

    def here():
        places = {name: str(tmp_path / name) for name in ("champion", "data", "evidence", "decisions")}
        paths = {name: tmp_path / name for name in ("workspace", "out")}
        return LocalRuns(**places, canary="", profile="laptop", overrides=(), **paths)

    return here


def test_a_run_on_this_machine_that_outlasts_its_round_is_not_started_by_the_next_one(here, monkeypatch):
    started, seen = [], []

    def retrain(request):
        started.append(request.decision)
        seen.append((here().state(ORDER.decision), here().state("champion-2-3")))
        if len(started) == 1:
            here().start(ORDER)
        return RetrainResult("promoted", "It is better.", request.out)

    monkeypatch.setattr(local_retraining, "retrain_locally", retrain)
    assert here().state(ORDER.decision) == "unknown"
    here().start(ORDER)
    assert started == [ORDER.decision]
    assert seen == [("running", "unknown")]


def test_a_question_about_a_run_does_not_keep_it_from_starting(here, monkeypatch, tmp_path):
    asked, started = threading.Event(), []
    monkeypatch.setattr(
        local_retraining,
        "retrain_locally",
        lambda request: started.append(request.decision) or RetrainResult("promoted", "It is better.", request.out),
    )
    here().state(ORDER.decision)
    (lock,) = tmp_path.rglob(f"{ORDER.decision}.lock")

    def ask():
        with held_if_free(lock):
            asked.set()
            time.sleep(0.2)

    question = threading.Thread(target=ask)
    question.start()
    asked.wait()
    here().start(ORDER)
    question.join()
    assert started == [ORDER.decision]


def test_a_run_on_this_machine_that_was_killed_is_started_again(here, monkeypatch):
    monkeypatch.setattr(local_retraining, "retrain_locally", lambda _request: os._exit(9))
    killed = multiprocessing.get_context("fork").Process(target=here().start, args=(ORDER,))
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    started = []
    monkeypatch.setattr(
        local_retraining,
        "retrain_locally",
        lambda request: started.append(request.decision) or RetrainResult("promoted", "It is better.", request.out),
    )
    assert here().state(ORDER.decision) == "unknown"
    here().start(ORDER)
    assert started == [ORDER.decision]


def failing(*errors):
    """A retraining pipeline: each attempt ends with the next of these lines of a traceback, the one after them well."""
    left = list(errors)

    def pipeline(**arguments):
        if left:
            print(f"{left.pop(0)}\n16:20:32.123 - ERROR - Task 'refresh' finished with status FAILURE")
            raise RuntimeError("Task 'refresh' failed.")
        judged = Path(arguments["workspace"]) / "gate" / "abc"
        judged.mkdir(parents=True)
        for file in (VERDICT, PAGE):
            (judged / file).touch()
        return SimpleNamespace(outputs={"gate": "abc", "result": "promoted", "text": "It is better."})

    pipeline.pipeline_spec = SimpleNamespace(pipeline_info=SimpleNamespace(name="retraining"))
    return pipeline


AWAY = "gream.errors.StoreError: The S3 server does not answer."


def test_a_run_on_this_machine_that_a_store_breaks_off_goes_on_in_the_next_round(here, monkeypatch, tmp_path):
    monkeypatch.setattr(local_retraining, "retraining_pipeline", failing(AWAY))
    with pytest.raises(StoreError, match=r"^step 'refresh' failed: The S3 server does not answer\. Everything"):
        here().start(ORDER)
    assert here().state(ORDER.decision) == "unknown"
    assert DecisionLog(str(tmp_path / "decisions")).entries() == []
    here().start(ORDER)
    assert (tmp_path / "out" / "latest" / VERDICT).is_file()


def test_a_run_on_this_machine_that_fails_otherwise_is_over(here, monkeypatch, tmp_path):
    monkeypatch.setattr(local_retraining, "retraining_pipeline", failing("gream.errors.DataError: no fresh events."))
    here().start(ORDER)
    (outcome,) = DecisionLog(str(tmp_path / "decisions")).entries()
    assert (outcome.decision, outcome.result) == (ORDER.decision, "failed")
    assert outcome.text.startswith("step 'refresh' failed: no fresh events.")


def test_a_projected_token_is_read_from_its_file(tmp_path):
    (tmp_path / "token").write_text("projected\n")
    variables = {"KFP_ENDPOINT": "http://127.0.0.1:1", "KFP_TOKEN_FILE": str(tmp_path / "token")}
    assert Connection.from_environment(environment=variables).token == "projected"
    with pytest.raises(ConfigError, match="KFP_TOKEN_FILE = '/nowhere' cannot be read"):
        Connection.from_environment(environment={**variables, "KFP_TOKEN_FILE": "/nowhere"})


def test_the_monitor_asks_for_the_key(monkeypatch, tmp_path):
    monkeypatch.delenv("GREAM_EVIDENCE_KEY", raising=False)
    result = CliRunner().invoke(main, ["monitor", "--champion", str(tmp_path)])
    assert result.exit_code == 1
    assert "GREAM_EVIDENCE_KEY is not set" in result.output


@pytest.mark.parametrize("key", ["k", "k\n"])
def test_a_line_break_behind_the_key_is_none_of_it(monkeypatch, key):
    keys = []

    class Idle:
        def __init__(self, _places, key, _settings, _runs):
            keys.append(key)

        def round(self, _now):
            return []

    monkeypatch.setattr("gream.monitoring.patrol.Patrol", Idle)
    result = CliRunner().invoke(main, ["monitor"], env={"GREAM_EVIDENCE_KEY": key})
    assert (result.exit_code, keys) == (0, ["k"])


def test_the_monitor_without_a_champion_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("GREAM_EVIDENCE_KEY", "k")
    monkeypatch.setenv("GREAM_CHAMPION", str(tmp_path / "nobody"))
    result = CliRunner().invoke(main, ["monitor", "--decisions", str(tmp_path / "decisions.jsonl")])
    assert result.exit_code == 1
    assert f"there is no champion at {tmp_path / 'nobody'}: promote one first" in result.output


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--profile", "lptop"), "'lptop' is neither one of"),
        (("--set", "srpo.bta=1"), "unknown key 'srpo.bta'"),
    ],
)
def test_a_retraining_that_could_not_start_here_is_refused_before_the_round(monkeypatch, tmp_path, option, message):
    monkeypatch.setenv("GREAM_EVIDENCE_KEY", "k")
    places = ("--champion", str(tmp_path / "nobody"), "--decisions", str(tmp_path / "decisions.jsonl"))
    result = CliRunner().invoke(main, ["monitor", *places, *option])
    assert result.exit_code == 1
    assert message in result.output


def test_status_of_nothing(tmp_path):
    options = ["--champion", str(tmp_path / "nobody"), "--decisions", str(tmp_path / "decisions.jsonl")]
    output = CliRunner().invoke(main, ["status", *options]).output
    assert output.startswith("There is no champion.\nNo run is under way.")
    assert output.endswith(f"There is no record of decisions at {tmp_path / 'decisions.jsonl'}.\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window_seconds = 0", "window_seconds is not allowed: Input should be greater than or equal to 1"),
        ("[decision]\nbudget = 3", "decision.budget is not allowed: Extra inputs are not permitted"),
        ("= 3", "is not valid TOML"),
    ],
)
def test_settings_are_checked_before_anything_is_looked_at(monkeypatch, tmp_path, text, message):
    monkeypatch.setenv("GREAM_EVIDENCE_KEY", "k")
    (tmp_path / "monitoring.toml").write_text(text)
    result = CliRunner().invoke(main, ["monitor", "--settings", str(tmp_path / "monitoring.toml")])
    assert result.exit_code == 1
    assert message in result.output
