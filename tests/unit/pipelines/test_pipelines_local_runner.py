"""Runs on one machine."""

import errno
import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp.local.config import LocalExecutionConfig

from pipelines import local
from pipelines.local import LocalRun, run_locally
from pipelines.local_runner import RunError, finished_run, published_folder

pytestmark = pytest.mark.unit


def pipeline():
    """Leaves an output where KFP's local runner would."""
    output = Path(LocalExecutionConfig.instance.pipeline_root) / "output"
    output.write_text("of this run")
    return SimpleNamespace(outputs={"output": output})


def test_runs_that_start_in_the_same_second_leave_each_others_outputs_alone(tmp_path):
    with finished_run(pipeline, "20261127-001002-shop", tmp_path, {}) as first:
        with finished_run(pipeline, "20261127-001002-shop", tmp_path, {}) as second:
            assert first.log != second.log
        assert first.outputs["output"].read_text() == "of this run"
    assert list((tmp_path / "kfp").iterdir()) == []


def broken_pipeline():
    pipeline()
    raise RuntimeError("Task 'sft' failed.")


broken_pipeline.pipeline_spec = SimpleNamespace(pipeline_info=SimpleNamespace(name="training"))


def test_a_run_that_fails_leaves_its_log_and_none_of_its_outputs(tmp_path):
    with (
        pytest.raises(RunError, match=r"^step 'sft' failed: "),
        finished_run(broken_pipeline, "20261127-001002-shop", tmp_path, {}),
    ):
        pytest.fail("a run that failed was finished")
    assert list((tmp_path / "kfp").iterdir()) == []
    assert len(list((tmp_path / "logs").iterdir())) == 1


def test_outputs_that_could_not_be_published_go_too(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match="file"),
        finished_run(pipeline, "20261127-001002-shop", tmp_path, {}),
        published_folder(tmp_path / "file" / "20261127-001002-shop"),
    ):
        pytest.fail("a folder was made in a file")
    assert list((tmp_path / "kfp").iterdir()) == []


def die_in_a_run(workspace):
    with finished_run(pipeline, "20261127-001002-shop", workspace, {}):
        os._exit(9)


def test_what_a_killed_run_has_left_goes_when_the_next_one_starts(tmp_path):
    killed = multiprocessing.get_context("fork").Process(target=die_in_a_run, args=(tmp_path,))
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    (left,) = (tmp_path / "kfp").glob("*/output")
    with finished_run(pipeline, "20261127-001003-shop", tmp_path, {}) as run:
        assert list((tmp_path / "kfp").glob("*/output")) == [run.outputs["output"]]
        assert run.outputs["output"] != left
    assert list((tmp_path / "kfp").iterdir()) == []


def training(**_):
    root = Path(LocalExecutionConfig.instance.pipeline_root)
    for folder in ("policy", "catalog"):
        (root / folder).mkdir()
        (root / folder / "manifest.json").write_text(folder)
    for file in ("report", "metrics"):
        (root / file).write_text(file)
    outputs = ("policy", "catalog", "report", "metrics")
    return SimpleNamespace(outputs={name: SimpleNamespace(path=str(root / name)) for name in outputs})


def test_results_may_be_on_another_file_system_than_the_workspace(tmp_path, monkeypatch):
    rename = os.rename

    def rename_within_a_file_system(source, target):
        if "workspace" in Path(source).parts and "workspace" not in Path(target).parts:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_within_a_file_system)
    monkeypatch.setattr(local, "training_pipeline", training)
    places = {"workspace": tmp_path / "workspace", "out": tmp_path / "runs"}
    folder = run_locally(LocalRun("shop", "laptop", (), seed=0, seen_items="keep", **places))
    assert sorted(path.name for path in folder.iterdir()) == [
        "catalog",
        "metrics.json",
        "policy",
        "report.html",
        "run.log",
    ]
    assert (folder / "policy" / "manifest.json").read_text() == "policy"
    assert (tmp_path / "runs" / "latest").resolve() == folder
