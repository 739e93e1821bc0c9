"""Metrics of one process, whatever Feast does: importing it names a folder for metrics that processes share."""

# Imported before Feast can be: whether values are shared is decided by the client's first import.
import prometheus_client  # noqa: F401
import pytest


@pytest.fixture(autouse=True)
def metrics_of_this_process_alone(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
