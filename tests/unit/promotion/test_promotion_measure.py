"""What the gate measures: by hand-made policies whose answers and times are known."""

from types import SimpleNamespace

import pytest

from gream.evaluation.cases import Cases
from gream.promotion import measure
from gream.promotion.measure import TRIES, WARM_UP, Candidate, answering_times

pytestmark = pytest.mark.unit

CASES = Cases([f"u{n}" for n in range(5)], [[f"i{n}", "gone"] for n in range(5)], ["x"] * 5)


class Clock:
    """Stands still but for what policies spend."""

    def __init__(self):
        self.now = 0.0
        self.asked = []

    def perf_counter(self):
        return self.now

    def policy(self, name, *seconds):
        """A policy whose answers take these times in turn, over and over."""
        takes = [*seconds]

        def recommend_batch(histories, k, *, excludes, progress):
            self.asked.append((name, histories, excludes))
            self.now += takes[0]
            takes.append(takes.pop(0))
            return [[SimpleNamespace(item_id="x")] for _ in histories]

        return Candidate(name, SimpleNamespace(recommend_batch=recommend_batch), frozenset(f"i{n}" for n in range(5)))


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    return clock


def test_policies_take_turns_in_changing_order_and_the_quickest_try_counts(clock, monkeypatch):
    monkeypatch.setattr(measure, "TIMED_REQUESTS", 4)
    slow, quick = clock.policy("slow", 0.5, 0.3, 0.9), clock.policy("quick", 0.1)
    ours, theirs = answering_times(slow, quick, CASES, exclude_seen=True, k=10)
    assert ours == pytest.approx([0.3] * 4)
    assert theirs == pytest.approx([0.1] * 4)
    names = [name for name, _, _ in clock.asked]
    assert names[: 2 * WARM_UP] == ["slow", "quick"] * WARM_UP
    assert names[2 * WARM_UP :] == ["slow", "quick", "quick", "slow", "slow", "quick"] * 4
    assert TRIES == 3


def test_both_are_asked_the_same_without_what_they_do_not_know(clock):
    ours, theirs = answering_times(clock.policy("a", 1.0), clock.policy("b", 1.0), CASES, exclude_seen=True, k=10)
    assert len(ours) == len(theirs) == 5
    first = [(histories, excludes) for name, histories, excludes in clock.asked if name == "a"]
    second = [(histories, excludes) for name, histories, excludes in clock.asked if name == "b"]
    assert first == second
    assert first[-1] == ([["i4"]], [["i4", "gone"]])
