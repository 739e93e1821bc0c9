"""Records of the way to a promotion, made by hand."""

from datetime import UTC, datetime

from gream.monitoring.entries import Decision
from gream.monitoring.judgement import WindowReport
from gream.promotion.verdict import Check, Verdict


def gate_verdict(champion, challenger, accepted=True):
    """What the gate said just now of two digests, by one check."""
    return Verdict(
        accepted=accepted,
        champion=champion,
        challenger=challenger,
        at=datetime.now(UTC),
        metric="ndcg@10",
        hold_out_start=1,
        hold_out_users=30,
        confidence=0.95,
        checks=(Check(name="all", state="passed" if accepted else "failed", text="Told in the test."),),
    )


def retraining(at):
    """The decision `d1`, which starts a retraining."""
    report = WindowReport(
        start=at - 10,
        end=at,
        policy_version="before",
        requests=9,
        users=9,
        results=(),
        counts=(),
        missing=(),
        skipped=(),
    )
    return Decision(id="d1", at=at, action="retrain", reasons=("In the test.",), report=report)
