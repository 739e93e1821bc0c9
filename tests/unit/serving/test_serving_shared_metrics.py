"""Processes that were killed leave their gauges behind, and whoever starts next drops them."""

import os
import subprocess
import sys
from functools import partial

import pytest

from serving.api.metrics import ApiMetrics
from serving.engine.metrics import EngineMetrics

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("start", [ApiMetrics, partial(EngineMetrics, "transformers")], ids=["api", "engine"])
def test_a_process_that_starts_drops_the_gauges_of_dead_ones(start, tmp_path, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in (f"gauge_livesum_{dead.pid}.db", f"counter_{dead.pid}.db", f"gauge_livesum_{os.getpid()}.db"):
        (tmp_path / name).touch()
    start()
    assert {file.name for file in tmp_path.iterdir()} == {f"counter_{dead.pid}.db", f"gauge_livesum_{os.getpid()}.db"}
