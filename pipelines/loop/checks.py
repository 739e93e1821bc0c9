"""What a loop should show, held against what happened in it."""

from collections.abc import Iterator, Sequence

import numpy as np

from gream.promotion.verdict import Verdict
from pipelines.loop.timeline import RESAMPLES, Check, DayEntry, hit_rate

DETECTION_DAYS = 3
"""An alarm needs two of three days, so the second day is the first one possible."""
RETRAINING_DAYS = 6


def check(days: Sequence[DayEntry], refused: Verdict, rolled_back_to: str) -> Iterator[Check]:
    """Each claim in a sentence with its numbers.

    Args:
        days: all of them, in order.
        refused: the gate's verdict on the bad challenger.
        rolled_back_to: version that the rollback went to.
    """
    acts = {act: [day for day in days if day.act == act] for act in {day.act for day in days}}
    quiet, shift, after = acts.get("quiet", []), acts.get("shift", []), acts.get("after", [])
    loud = [day.number for day in quiet if day.alarms or day.action != "nothing"]
    yield Check(holds=not loud, text=f"{len(quiet)} quiet days: {f'alarms on days {loud}' if loud else 'no alarm'}.")
    yield _delay("a monitor alarmed", DETECTION_DAYS, [place for place, day in enumerate(shift, 1) if day.alarms])
    retrained = [place for place, day in enumerate(shift, 1) if day.action == "retrain"]
    yield _delay("a retraining was decided", RETRAINING_DAYS, retrained)
    if after:
        yield _recovery(shift, after)
    served = {version for day in after for version in day.versions} - {v for day in quiet for v in day.versions}
    yield Check(
        holds=bool(served), text="A retrained champion was promoted and served." if served else "None was served."
    )
    yield Check(
        holds=not refused.accepted, text=f"The bad challenger was {'accepted' if refused.accepted else 'refused'}."
    )
    last = {version for day in acts.get("rolled back", []) for version in day.versions}
    text = f"After the rollback {' and '.join(sorted(last))} answered; {rolled_back_to} should."
    yield Check(holds=last == {rolled_back_to}, text=text)
    failed, asked = sum(day.failed for day in days), sum(len(day.hits) for day in days)
    yield Check(holds=failed == 0, text=f"{failed} of {asked} visits met with a failed request, all moves included.")


def _delay(what: str, limit: int, places: Sequence[int]) -> Check:
    if not places:
        return Check(holds=False, text=f"After the shift {what} on no day.")
    text = f"After the shift {what} on day {places[0]}; by day {limit} it should."
    return Check(holds=places[0] <= limit, text=text)


def _recovery(shift: Sequence[DayEntry], after: Sequence[DayEntry]) -> Check:
    """Hit rate after the retraining minus before it, with its interval."""
    worse, better = hit_rate(shift), hit_rate(after)
    random = np.random.default_rng(0)
    before, now = (np.concatenate([day.hits for day in days]).astype(float) for days in (shift, after))
    draws = [random.choice(now, len(now)).mean() - random.choice(before, len(before)).mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, (0.025, 0.975))
    text = (
        f"Quality recovers: hit rate {worse.value:.3f} before the retraining, {better.value:.3f} after it, "
        f"{better.value - worse.value:+.3f} [{low:+.3f}, {high:+.3f}]."
    )
    return Check(holds=bool(low > 0), text=text)
