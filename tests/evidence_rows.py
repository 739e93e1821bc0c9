"""Rows of request evidence, made by hand."""

from dataclasses import replace

from gream.monitoring.evidence import RequestEvidence

START = 20_000 * 86_400
BASIS = RequestEvidence(
    request_id="r",
    timestamp=START,
    user="u1",
    history_length=4,
    seconds_since_last=600,
    last_level1=0,
    top_category="Drama",
    unknown_items=0,
    cold=False,
    mode="direct",
    policy_version="champion",
    degraded=None,
    engine_ms=20.0,
    features_ms=2.0,
    total_ms=100.0,
    items=("m0", "m1", "m2"),
    scores=(-1.0, -2.0, -3.0),
)


def request_evidence(request_id, **changes):
    """A request that differs from `BASIS` in what is given."""
    return replace(BASIS, request_id=request_id, **changes)
