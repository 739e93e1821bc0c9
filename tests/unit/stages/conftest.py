import itertools
from types import SimpleNamespace

import pytest


@pytest.fixture
def clock(monkeypatch):
    """Whatever is made takes seven seconds: the store looks at its clock before and after."""
    ticks = itertools.count(0, 7)
    monkeypatch.setattr("gream.stages.store.time", SimpleNamespace(monotonic=lambda: next(ticks)))
