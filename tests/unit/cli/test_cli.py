"""The `gream` command explains itself, answers at once, and fails in one sentence."""

import errno
import re
import shutil
import socket
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gream import cli
from gream.cli import main

pytestmark = pytest.mark.unit

COMMANDS = [
    "champion",
    "data",
    "decisions",
    "doctor",
    "evaluate",
    "experiment",
    "extend",
    "features",
    "index",
    "loop",
    "monitor",
    "pipelines",
    "recommend",
    "retrain",
    "run",
    "score",
    "serve",
    "status",
    "store",
    "train",
]


@pytest.fixture
def invoke():
    return lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_help_lists_every_command_also_those_from_entry_points(invoke):
    listed = invoke("--help").output.split("Commands:\n")[1]
    assert [line.split()[0] for line in listed.splitlines() if line[:3].strip()] == COMMANDS


def test_commands_of_packages_that_an_image_leaves_out_are_not_there(invoke, monkeypatch):
    found = [
        EntryPoint("store-front", "not_in_this_image.commands:front", "gream.commands"),
        EntryPoint("run", "pipelines.commands:run", "gream.commands"),
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: found)
    listed = invoke("--help").output
    assert "store-front" not in listed
    assert "  run " in listed
    assert "No such command" in invoke("store-front").output


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(invoke, command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom gream.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'polars', 'numpy', 'kfp', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "Error: 'nowhere' is neither a known dataset nor a folder."),
        (["--data", "nowhere", "--set", "srpo.betta=1"], "unknown key 'srpo.betta'; allowed are"),
        (
            ["--data", "nowhere", "--profile", "huge"],
            "Error: profile 'huge' is neither one of laptop, paper, small nor",
        ),
    ],
)
def test_wrong_input_ends_in_one_sentence(invoke, tmp_path, arguments, message):
    result = invoke("data", *arguments, "--workspace", str(tmp_path))
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_that_no_generator_takes_is_refused_at_once(invoke, tmp_path, seed):
    result = invoke("data", "--data", "nowhere", "--seed", seed, "--workspace", str(tmp_path))
    assert result.exit_code == 2
    assert f"Invalid value for '--seed': {seed} is not in the range 0<=x<=4294967295." in result.stderr


def test_the_last_seed_of_an_experiment_counts_before_the_first_one_trains(invoke, tmp_path):
    seeds = ("--variant", "other: srpo.beta=0.7", "--seed", "4294967295", "--seeds", "2")
    result = invoke(
        "experiment",
        "--data",
        "nowhere",
        "--variant",
        "as is:",
        *seeds,
        "--workspace",
        str(tmp_path),
        "--out",
        str(tmp_path),
    )
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "Error: seed 4294967296: " in result.stderr


@pytest.mark.parametrize("wrong", [("--visits", "0"), ("--seed", "-1")])
def test_a_loop_without_visitors_or_chance_is_refused_at_once(invoke, monkeypatch, tmp_path, wrong):
    monkeypatch.setattr("pipelines.loop.stage.Stage", lambda *_: pytest.fail("it begins"))
    result = invoke("loop", *wrong, "--out", str(tmp_path))
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])


def test_a_package_that_is_not_installed_is_named(invoke, monkeypatch, tmp_path):
    (tmp_path / "shop_front.py").write_text("import not_installed_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cli, "entry_points", lambda group: [EntryPoint("front", "shop_front:front", "gream.commands")])
    result = invoke("front")
    assert result.exit_code == 1
    assert "this command needs not_installed_here, which is not installed: in the clone, `make" in result.stderr
    (installed,) = re.findall(r"pip install (-e '.*')\.$", result.stderr)
    makefile = Path(__file__).resolve().parents[3] / "Makefile"
    assert f".venv/loop.stamp: .venv/serve.stamp\n\t$(INSTALL) {installed}\n" in makefile.read_text()


@pytest.fixture
def fail(invoke, monkeypatch):
    """Runs a command that ends with an error."""

    def fail(error):
        @click.command()
        def front():
            raise error

        monkeypatch.setitem(main.commands, "front", front)
        return invoke("front")

    return fail


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (PermissionError(errno.EACCES, "Permission denied", "/runs"), "/runs: Permission denied."),
        (OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"), "/a -> /b: Invalid cross-device link."),
        (shutil.Error([("/a", "/b", "[Errno 28] No space left on device: '/b'")]), "No space left on device: '/b'."),
    ],
)
def test_what_the_system_says_of_files_ends_in_one_sentence(fail, error, sentence):
    result = fail(error)
    assert result.exit_code == 1
    assert result.stderr.endswith(f"{sentence}\n")
    assert len(result.stderr.splitlines()) == 1


def test_an_error_that_the_system_says_nothing_of_keeps_its_traceback(fail):
    with pytest.raises(OSError, match=r"^a mistake in the code$"):
        fail(OSError("a mistake in the code"))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), socket.gaierror(-2, "Unknown name")]
)
def test_a_peer_that_is_not_there_is_no_matter_of_files(fail, error):
    with pytest.raises(type(error)):
        fail(error)


def test_a_reader_that_has_had_enough_is_told_nothing(fail):
    result = fail(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (result.exit_code, result.output) == (1, "")


def test_a_workspace_that_cannot_be_made_ends_in_one_sentence(invoke, tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title\nA,Lamp\nB,Chair\nC,Table\n")
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\nu,A,1\nu,B,2\nu,C,3\n")
    workspace = tmp_path / "items.csv" / "workspace"
    result = invoke("data", "--data", str(tmp_path), "--set", "data.k_core=0", "--workspace", str(workspace))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"Error: {workspace / 'ingest'}: Not a directory."
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("out", ["shop", ".", "runs", "runs/workspace", "runs/workspace/ingest/new"])
def test_out_never_deletes_what_is_not_an_artifact(invoke, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "items.csv").write_text("item_id,title\nA,Lamp\nB,Chair\nC,Table\n")
    (tmp_path / "shop" / "interactions.csv").write_text("user_id,item_id,timestamp\nu,A,1\nu,B,2\nu,C,3\n")
    command = ("data", "--data", "shop", "--set", "data.k_core=0", "--workspace", "runs/workspace")
    assert invoke(*command, "--out", "catalog").exit_code == 0
    assert invoke(*command, "--out", "catalog").exit_code == 0  # An artifact may be replaced.
    before = sorted(tmp_path.rglob("*"))
    result = invoke(*command, "--out", out)
    assert result.exit_code == 1
    assert "name another folder." in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_data_describes_and_writes_a_catalog(invoke, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "items.csv").write_text("item_id,title\nA,Lamp\nB,Chair\nC,Table\n")
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\nu,A,1\nu,B,2\nu,C,3\n")
    result = invoke(
        *("data", "--data", str(folder), "--set", "data.k_core=0", "--seen-items", "exclude"),
        *("--workspace", str(tmp_path / "workspace"), "--out", str(tmp_path / "catalog")),
    )
    assert result.exit_code == 0, result.stderr
    assert "seen items excluded" in result.stdout
    assert sorted(path.name for path in (tmp_path / "catalog").iterdir()) == [
        "interactions.parquet",
        "items.parquet",
        "manifest.json",
        "stage.json",
    ]
