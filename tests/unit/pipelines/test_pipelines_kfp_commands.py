"""`gream pipelines upload|run|status|logs` against a KFP server on loopback."""

import socket

import pytest
from click.testing import CliRunner
from pipelines_kfp_stub import NEVER, kfp_stub

from gream.cli import main
from pipelines import cluster_commands
from pipelines.compile import PIPELINES

pytestmark = pytest.mark.unit

SECRET = "a-token-that-nobody-may-see"


@pytest.fixture
def kfp():
    with kfp_stub() as stub:
        yield stub


@pytest.fixture
def invoke(kfp, monkeypatch):
    monkeypatch.setenv("KFP_ENDPOINT", kfp.endpoint)
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["pipelines", *arguments])


def task(name, state, start=0, end=0, **more):
    def stamp(second):
        return f"2026-11-25T10:{second // 60:02}:{second % 60:02}Z" if second else NEVER

    return {"display_name": name, "state": state, "start_time": stamp(start), "end_time": stamp(end), **more}


def test_upload_makes_one_version_of_one_choice(invoke, kfp):
    first, again, other = invoke("upload"), invoke("upload"), invoke("upload", "--gpus", "8")
    assert [result.exit_code for result in (first, again, other)] == [0, 0, 0], first.output
    assert [line.split()[-1] for line in first.output.splitlines()] == ["uploaded"] * len(PIPELINES)
    assert again.output == first.output.replace("uploaded", "is there already")
    assert [pipeline["name"] for pipeline in kfp.pipelines.values()] == [f"gream-{name}" for name in PIPELINES]
    newest, oldest = [version for version in kfp.versions if version["pipeline_id"] == "pipeline-0"]
    assert newest["name"] != oldest["name"]
    executors = newest["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert executors["exec-sft"]["container"]["resources"]["accelerator"]["resourceCount"] == "8"


def test_run_takes_the_newest_version_and_typed_parameters(invoke, kfp):
    invoke("upload")
    invoke("upload", "--gpus", "1")
    result = invoke(
        *("run", "training", "--param", "data=s3://gream/catalog", "--param", "seed=3", "--param", "shares=4"),
        *("--param", 'overrides=["srpo.beta=0.7"]'),
    )
    assert result.output.split()[-1] == "run-0"
    run = kfp.runs["run-0"]
    assert run["runtime_config"]["parameters"] == {
        "data": "s3://gream/catalog",
        "seed": 3,
        "shares": 4,
        "overrides": ["srpo.beta=0.7"],
    }
    newest = next(version for version in kfp.versions if version["pipeline_id"] == "pipeline-0")
    assert run["pipeline_version_reference"] == {key: newest[key] for key in ("pipeline_id", "pipeline_version_id")}
    assert kfp.experiments[run["experiment_id"]]["display_name"] == "gream"


def test_an_older_version_is_run_by_its_name(invoke, kfp):
    older = invoke("upload").output.splitlines()[0].split()[1]
    newer = invoke("upload", "--gpus", "1").output.splitlines()[0].split()[1]
    again = invoke("upload")
    assert again.output.splitlines()[:2] == [
        f"training: {older} is there already",
        f"training: {newer} is newer and is what runs, without --version {older}",
    ]
    result = invoke("run", "training", "--version", older)
    assert result.output.startswith(f"{older}: started run ")
    (run,) = kfp.runs.values()
    (held,) = [version for version in kfp.versions if version["name"] == older]
    assert run["pipeline_version_reference"]["pipeline_version_id"] == held["pipeline_version_id"]
    missing = invoke("run", "training", "--version", "gream-training-0")
    assert missing.exit_code == 1
    assert (
        f"no version 'gream-training-0' of pipeline 'gream-training'; the newest are {newer}, {older}."
        in missing.output
    )
    assert len(kfp.runs) == 1


def test_second_run_joins_the_experiment(invoke, kfp):
    invoke("upload")
    for _ in range(2):
        invoke("run", "training")
    assert len(kfp.experiments) == 1
    assert {run["experiment_id"] for run in kfp.runs.values()} == {"experiment-0"}


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("sede=3", "parameter 'sede=3' must look like NAME=VALUE; allowed names are data, overrides, profile, seed, "),
        ("seed=many", "parameter seed = 'many' is not allowed: a NUMBER_INTEGER is needed."),
        ("overrides=srpo.beta=0.7", "parameter overrides = 'srpo.beta=0.7' is not allowed: a LIST is needed."),
        ("seed", "parameter 'seed' must look like NAME=VALUE"),
    ],
)
def test_wrong_parameter_is_refused_before_a_run_starts(invoke, kfp, parameter, message):
    invoke("upload")
    result = invoke("run", "training", "--param", parameter)
    assert result.exit_code == 1
    assert message in result.output
    assert kfp.runs == {}


def test_waiting_tells_each_change_once_and_how_it_ended(invoke, kfp, monkeypatch):
    monkeypatch.setattr(cluster_commands, "POLL_S", 0.01)
    invoke("upload")
    kfp.states = ["PENDING", "RUNNING", "RUNNING", "FAILED"]
    kfp.tasks = [
        task("sft", "FAILED", 60, 185, error={"message": "out of memory"}),
        task("ingest", "SUCCEEDED", 10, 40),
        task("ingest-driver", "SUCCEEDED", 1, 9),
        task("report", "PENDING"),
    ]
    result = invoke("run", "training", "--wait")
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == [
        "ingest: SUCCEEDED",
        "sft: FAILED",
        "report: PENDING",
        f"{kfp.runs['run-0']['display_name']}: FAILED",
        "  ingest         SUCCEEDED          30 s",
        "  sft            FAILED       2 min 05 s  out of memory",
        "  report         PENDING",
    ]


@pytest.mark.parametrize(("hiccups", "exit_code"), [(2, 0), (3, 1)])
def test_waiting_sits_out_a_server_that_is_away_for_a_while(invoke, kfp, monkeypatch, hiccups, exit_code):
    monkeypatch.setattr(cluster_commands, "POLL_S", 0.01)
    monkeypatch.setattr(cluster_commands, "PATIENCE", 3)
    invoke("upload")
    kfp.states = ["RUNNING", "RUNNING", "SUCCEEDED"]
    away = (503, {"message": "no upstream"})
    answers = iter([None, *[away] * hiccups, None, *[away] * hiccups])
    kfp.on_look = lambda: next(answers, None)
    result = invoke("run", "training", "--wait")
    assert result.exit_code == exit_code, result.output
    assert ("run 'run-0': 503, no upstream" in result.output) == bool(exit_code)
    assert (f"{kfp.runs['run-0']['display_name']}: SUCCEEDED" in result.output) == (not exit_code)


def test_waiting_takes_each_token_that_the_file_gets(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster_commands, "POLL_S", 0.01)
    monkeypatch.setattr(cluster_commands, "PATIENCE", 1)
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    file = tmp_path / "token"
    monkeypatch.setenv("KFP_TOKEN_FILE", str(file))
    file.write_text(f"{SECRET}-1")
    with kfp_stub(token=f"{SECRET}-1") as kfp:
        monkeypatch.setenv("KFP_ENDPOINT", kfp.endpoint)
        kfp.hold("gream-training")
        kfp.states = ["RUNNING", "SUCCEEDED"]

        def replace_token():
            kfp.token = f"{SECRET}-2"
            file.write_text(kfp.token)

        kfp.on_look = replace_token
        result = CliRunner().invoke(main, ["pipelines", "run", "training", "--wait"])
    assert result.exit_code == 0, result.output


def test_status_of_a_run_that_goes_well(invoke, kfp):
    kfp.runs["run-7"] = {"display_name": "training-7", "run_id": "run-7"}
    kfp.states = ["SUCCEEDED"]
    result = invoke("status", "run-7")
    assert (result.exit_code, result.output) == (0, "training-7: SUCCEEDED\n")


def test_status_shows_the_second_of_two_equal_steps(invoke, kfp):
    """A retraining has a gate in each of its branches."""
    kfp.runs["run-7"] = {"display_name": "d1", "run_id": "run-7"}
    kfp.states = ["SUCCEEDED"]
    kfp.tasks = [task("gate-2", "SUCCEEDED", 10, 40), task("gate-2-driver", "SUCCEEDED", 1, 9), task("condition-4", "")]
    result = invoke("status", "run-7")
    assert result.output.splitlines() == ["d1: SUCCEEDED", "  gate-2         SUCCEEDED          30 s"]


def test_logs_of_every_attempt_and_every_turn_of_a_loop(invoke, kfp):
    """Of a container, KFP lists the step, its executor, and one node for each attempt."""
    kfp.runs["run-7"] = {"display_name": "training-7", "run_id": "run-7"}
    kfp.tasks = [
        task("enrich-share", "SUCCEEDED", 1, 2, task_id="a", child_tasks=[{"pod_name": "a-executor"}]),
        task("executor", "SUCCEEDED", task_id="a-executor", child_tasks=[{"pod_name": "a-0"}, {"pod_name": "a-1"}]),
        task("enrich-share", "SUCCEEDED", 3, 4, task_id="b", child_tasks=[{"pod_name": "b-0"}]),
        task("report", "PENDING", task_id="c"),
    ]
    kfp.logs = {"a-0": "evicted\n", "a-1": "share 1 done\n", "b-0": "share 2 done\n"}
    result = invoke("logs", "run-7", "enrich-share")
    assert result.output.splitlines() == ["--- a-0", "evicted", "--- a-1", "share 1 done", "--- b-0", "share 2 done"]
    result = invoke("logs", "run-7", "report")
    assert "step 'report' of run run-7 has no pod; steps with one: enrich-share." in result.output
    del kfp.logs["a-1"]
    result = invoke("logs", "run-7", "enrich-share")
    assert result.exit_code == 1
    assert "the log of pod 'a-1': 500, pods 'a-1' not found" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "training"], "has no pipeline 'gream-training': upload it with `gream pipelines upload`."),
        (["run", "retrain"], "there is no pipeline 'retrain'; there are training, retraining, monitoring, experiment."),
        (["status", "run-9"], "run 'run-9': the server does not know it."),
    ],
)
def test_what_the_server_does_not_have(invoke, arguments, message):
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_token_is_sent_and_never_shown(monkeypatch):
    with kfp_stub(token=SECRET) as kfp:
        monkeypatch.setenv("KFP_ENDPOINT", kfp.endpoint)
        monkeypatch.setenv("KFP_TOKEN", SECRET)
        assert CliRunner().invoke(main, ["pipelines", "upload"]).exit_code == 0
        monkeypatch.setenv("KFP_TOKEN", SECRET + "-of-yesterday")
        refused = CliRunner().invoke(main, ["pipelines", "upload"])
    assert refused.exit_code == 1
    assert "the server asks for a token that it knows; set KFP_TOKEN." in refused.output
    assert SECRET not in refused.output


def test_no_server_and_no_endpoint(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = CliRunner().invoke(main, ["pipelines", "status", "run-1", "--endpoint", f"http://127.0.0.1:{port}"])
    assert f"Error: http://127.0.0.1:{port} does not answer (NewConnectionError)" in result.output
    monkeypatch.delenv("KFP_ENDPOINT", raising=False)
    result = CliRunner().invoke(main, ["pipelines", "status", "run-1"])
    assert "no KFP server is named: give --endpoint or KFP_ENDPOINT" in result.output
