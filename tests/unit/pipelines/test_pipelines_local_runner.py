"""Runs on one machine."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp.local.config import LocalExecutionConfig

from pipelines.local_runner import finished_run

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
