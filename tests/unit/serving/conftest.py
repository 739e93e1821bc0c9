"""Metrics of one process, whatever Feast does: importing it names a folder for metrics that processes share."""

import time

# Imported before Feast can be: whether values are shared is decided by the client's first import.
import prometheus_client  # noqa: F401
import pytest


@pytest.fixture(autouse=True)
def metrics_of_this_process_alone(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)


@pytest.fixture
def wait():
    """Waits until something holds; the test's own time limit ends it otherwise."""

    def until(holds):
        while not holds():
            time.sleep(0.01)

    return until
