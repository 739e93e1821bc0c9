"""A tiny shop: six items, evidence made by hand."""

import polars as pl
import pytest
from evidence_rows import request_evidence

from gream.monitoring.evidence import FEEDBACK_SCHEMA
from gream.monitoring.served_items import ServedItems
from gream.monitoring.skew import SkewLimits, TrainedTaste

KEY = "a secret of the tests"
DAY = 86_400
START = 20_000 * DAY


@pytest.fixture
def request_row():
    """See `request_evidence`."""
    return request_evidence


@pytest.fixture
def write_feedback():
    """Writes events as serving does: `(event_id, user_id, item_id, kind, timestamp, request_id, received)`."""

    def write(folder, rows, name="part-0a1b2c3d-000000000001.parquet", hour="date=2024-10-04/hour=00"):
        target = folder / "feedback" / hour
        target.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows, schema=FEEDBACK_SCHEMA, orient="row").write_parquet(target / name)

    return write


@pytest.fixture
def served():
    """m0 and m1 are the head; m0, m1 start with code 0, m2, m3 with code 1, m4, m5 with code 2, which is rare."""
    items = pl.DataFrame(
        {
            "item_id": [f"m{number}" for number in range(6)],
            "level1": ["0", "0", "1", "1", "2", "2"],
            "surprise": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            "head": [True, True, False, False, False, False],
        }
    )
    return ServedItems(items, ("0", "1"), ("Drama", "Comedy"))


@pytest.fixture
def trained(served):
    """A training set of two users: one of m2, one of m0 and m1, whose first is a drama and second a comedy."""
    items = served.items.select("item_id", categories=pl.Series([["Drama"], ["Comedy"]] * 3))
    events = pl.DataFrame({"user_id": ["a", "b", "b"], "item_id": ["m2", "m0", "m1"], "timestamp": [1, 2, 3]})
    return TrainedTaste.of(events, items, served, history_window=50, limits=SkewLimits(), min_users=20)
