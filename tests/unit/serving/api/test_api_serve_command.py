"""`gream serve` finds out what is wrong before the long start, and says what it does."""

import os
import socket
import sys

import polars as pl
import pytest
from click.testing import CliRunner

from gream.cli import main
from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from serving import launch
from serving.api.hosts import parse_hosts
from serving.feedback.feedback import hold

pytestmark = pytest.mark.unit


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would have been started: host, port, environment."""
    calls = []
    monkeypatch.setattr(launch, "serve_until_stopped", lambda *call: calls.append(call))
    monkeypatch.setenv("GREAM_STATE", str(tmp_path / "state"))
    return calls


@pytest.fixture
def serve(started, bundle, port):
    def run(*arguments, policy=bundle):
        return CliRunner().invoke(main, ["serve", "--policy", str(policy), "--port", str(port), *arguments])

    return run


def save_catalog(path, item_ids=("m0", "m1"), dataset="films"):
    interactions = pl.DataFrame({"user_id": ["u", "u"], "item_id": item_ids[:2], "timestamp": [1, 2]})
    items = pl.DataFrame([(item, "A", "", "", []) for item in item_ids], schema=ITEM_SCHEMA, orient="row")
    Catalog(interactions, items, CatalogFacts(dataset=dataset, source="a test", exclude_seen=True)).save(path)


def test_the_server_gets_the_policy_and_a_home_of_its_own(serve, started, bundle, port, tmp_path):
    result = serve("--engine", "vllm")
    assert result.exit_code == 0, result.output
    ((host, given_port, environment),) = started
    assert (host, given_port) == ("127.0.0.1", port)
    assert (environment["GREAM_POLICY"], environment["GREAM_ENGINE"]) == (str(bundle), "vllm")
    assert environment["BENTOML_HOME"] == str(tmp_path / "state" / "bentoml")
    assert "GREAM_SAMPLE_USERS" not in environment
    assert result.stderr == "No catalog beside the policy: histories begin with the feedback that comes in.\n"


@pytest.mark.parametrize("how", ["named", "beside", "beside a URI"])
def test_a_catalog_fills_the_feature_store(serve, started, bundle, tmp_path, how):
    run = tmp_path / "run"
    run.mkdir()
    (run / "policy").symlink_to(bundle)
    save_catalog(run / "catalog")
    policy = (run / "policy").as_uri() if how == "beside a URI" else run / "policy"
    result = serve("--catalog", str(run / "catalog")) if how == "named" else serve(policy=policy)
    assert result.exit_code == 0, result.output
    assert result.output == "Filling the feature store with the histories of films.\n"
    assert (tmp_path / "state" / "features" / "online.db").is_file()
    assert started[-1][2]["GREAM_SAMPLE_USERS"] == str(run / "catalog" / "interactions.parquet")


def test_a_second_server_in_the_same_folder_is_refused_before_it_touches_anything(serve, started, tmp_path):
    state = tmp_path / "state"
    save_catalog(tmp_path / "catalog")
    with hold(state):
        before = sorted(state.rglob("*"))
        result = serve("--catalog", str(tmp_path / "catalog"))
    sentence = f"Error: another server keeps its feedback in {state}; give each its own GREAM_STATE.\n"
    assert (result.exit_code, result.output, started) == (1, sentence, [])
    assert sorted(state.rglob("*")) == before


def test_the_server_that_is_started_finds_its_folder_free(serve, started, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "serve_until_stopped", lambda *_: hold(tmp_path / "state").close())
    result = serve()
    assert result.exit_code == 0, result.output


def test_a_catalog_whose_items_the_policy_hardly_knows_is_refused(serve, started, tmp_path):
    own = [f"own-{number}" for number in range(10)]
    save_catalog(tmp_path / "grown", ["m0", *own[:9]])
    save_catalog(tmp_path / "other", ["m0", *own], dataset="books")
    result = serve("--catalog", str(tmp_path / "other"))
    assert (result.exit_code, result.output) == (
        1,
        "Error: the policy was trained on 'films' and knows 1 of the 11 items of catalog 'books': they are of "
        "different shops.\n",
    )
    assert (started, (tmp_path / "state" / "features").exists()) == ([], False)
    assert serve("--catalog", str(tmp_path / "grown")).exit_code == 0


def test_a_state_folder_with_another_shops_histories_is_refused(serve, started, tmp_path):
    save_catalog(tmp_path / "first")
    save_catalog(tmp_path / "second", ["m2", "m3", "m4"], dataset="books")
    assert serve("--catalog", str(tmp_path / "first")).exit_code == 0
    result = serve("--catalog", str(tmp_path / "second"))
    assert (result.exit_code, len(started)) == (1, 1)
    assert "catalog 'books' and 'films', whose features are in" in result.stderr
    assert result.stderr.endswith("Set GREAM_STATE to a folder for each.\n")


def test_where_others_can_reach_it_no_users_are_shown_and_missing_keys_are_said(serve, started, tmp_path, monkeypatch):
    save_catalog(tmp_path / "catalog")
    arguments = ("--catalog", str(tmp_path / "catalog"), "--host", "0.0.0.0")
    result = serve(*arguments)
    assert result.exit_code == 0, result.output
    assert "GREAM_API_KEYS is not set" in result.stderr
    assert {"GREAM_SAMPLE_USERS", "GREAM_ALLOWED_HOSTS"}.isdisjoint(started[-1][2])
    monkeypatch.setenv("GREAM_API_KEYS", "shop:secret")
    assert serve(*arguments).stderr == ""


@pytest.mark.parametrize(
    ("host", "names"),
    [("127.0.0.1", {"127.0.0.1"}), ("localhost", {"127.0.0.1"}), ("127.0.0.2", {"127.0.0.1", "127.0.0.2"})],
)
def test_a_server_for_this_machine_alone_answers_to_its_names(serve, started, host, names):
    assert serve("--host", host).exit_code == 0
    assert parse_hosts(started[0][2]["GREAM_ALLOWED_HOSTS"]) == {"localhost", "::1"} | names


def test_variables_that_are_set_to_nothing_leave_the_server_its_defaults(serve, started, monkeypatch):
    monkeypatch.setenv("GREAM_ALLOWED_HOSTS", "")
    monkeypatch.setenv("GREAM_SAMPLE_USERS", "")
    monkeypatch.setenv("HTTP_PROXY", "")
    assert serve().exit_code == 0
    environment = started[0][2]
    assert parse_hosts(environment["GREAM_ALLOWED_HOSTS"]) == {"localhost", "::1", "127.0.0.1"}
    assert environment.get("GREAM_SAMPLE_USERS") != ""
    assert environment["HTTP_PROXY"] == ""  # Others' variables may mean something by it.


def test_any_name_will_do_where_keys_are_asked_for_and_other_names_where_they_are_given(serve, started, monkeypatch):
    monkeypatch.setenv("GREAM_ALLOWED_HOSTS", "shop.example")
    assert serve().exit_code == 0
    assert started[-1][2]["GREAM_ALLOWED_HOSTS"] == "shop.example"
    monkeypatch.delenv("GREAM_ALLOWED_HOSTS")
    monkeypatch.setenv("GREAM_API_KEYS", "shop:secret")
    assert serve().exit_code == 0
    assert "GREAM_ALLOWED_HOSTS" not in started[-1][2]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GREAM_API_KEYS", "secret", "Error: GREAM_API_KEYS: entry 1 is not of the form name:key.\n"),
        (
            "GREAM_EVIDENCE_STORE",
            "s3://shop/evidence",
            "Error: s3:// needs the environment variable GREAM_S3_ENDPOINT: the URL of the S3 server.\n",
        ),
        ("GREAM_MAX_K", "3", "Error: GREAM_MAX_K = '3' is not allowed: Input should be greater than or equal to 10.\n"),
        ("GREAM_MAXK", "50", "Error: GREAM_MAXK is no setting. Did you mean GREAM_MAX_K?\n"),
        ("gream_api_key", "a:b", "Error: gream_api_key is no setting. Did you mean GREAM_API_KEYS?\n"),
    ],
)
def test_settings_that_are_not_allowed_end_it_in_one_sentence(serve, started, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    result = serve()
    assert (result.exit_code, result.stderr, started) == (1, message, [])


def test_a_variable_that_nothing_reads_is_said_and_those_of_other_parts_are_not(serve, started, monkeypatch):
    for variable in ("GREAM_CHAMPION", "GREAM_S3_ENDPOINT", "GREAM_LLM_API_KEY", "GREAM_PORT"):
        monkeypatch.setenv(variable, "tcp://10.0.0.1:3000")
    result = serve()
    assert (result.exit_code, len(started)) == (0, 1)
    assert result.stderr.splitlines()[:-1] == ["GREAM_PORT is no setting of GREAM: nothing reads it."]


def test_the_policy_may_come_from_the_environment(started, bundle, port, monkeypatch):
    monkeypatch.setenv("GREAM_POLICY", str(bundle))
    result = CliRunner().invoke(main, ["serve", "--port", str(port)])
    assert result.exit_code == 0, result.output
    assert started[0][2]["GREAM_POLICY"] == str(bundle)


def test_a_missing_policy_is_named(serve, started, tmp_path):
    result = serve(policy=tmp_path / "nothing")
    assert (result.exit_code, result.stderr) == (1, f"Error: there is no folder {tmp_path / 'nothing'}.\n")
    assert started == []


def test_a_runs_folder_is_not_taken_for_its_policy(serve, started, bundle, tmp_path):
    (tmp_path / "policy").symlink_to(bundle)
    result = serve(policy=tmp_path)
    assert result.stderr == f"Error: {tmp_path} is not a policy: did you mean {tmp_path / 'policy'}?\n"
    assert started == []


def test_a_uri_that_is_not_understood_is_refused_at_once(serve, started):
    result = serve(policy="https://shop/policy")
    assert result.stderr == (
        "Error: GREAM_POLICY='https://shop/policy' is not understood: give a folder, file://FOLDER or "
        "s3://BUCKET/PREFIX.\n"
    )
    assert started == []


def test_a_host_that_nobody_knows_is_named(serve, started):
    result = serve("--host", "no-such-host.invalid")
    assert result.stderr.endswith(" cannot be served on: Name or service not known.\n")
    assert started == []


def test_a_port_that_is_taken_is_named(serve, started, port):
    with socket.create_server(("127.0.0.1", port)):
        result = serve()
    assert result.stderr == f"Error: 127.0.0.1:{port} cannot be served on: Address already in use.\n"
    assert started == []


def test_a_server_that_ends_by_itself_is_an_error(monkeypatch, port):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(launch.ServeError, match="the server ended by itself, with exit code 1"):
        launch.serve_until_stopped("127.0.0.1", port, {})


READY_ONCE = """#!{python}
import http.server, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Handler).handle_request()
"""


def test_a_proxy_is_not_asked_whether_this_machine_is_ready(monkeypatch, port, tmp_path, capsys):
    server = tmp_path / "python"
    server.write_text(READY_ONCE.format(python=sys.executable))
    server.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(server))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(launch.ServeError, match="exit code 0"):
        launch.serve_until_stopped("127.0.0.1", port, dict(os.environ))
    assert capsys.readouterr().out.startswith(f"Ready at http://127.0.0.1:{port} ")
