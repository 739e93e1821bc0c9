"""What a loop should show, held against what happened in it."""

from collections.abc import Iterator, Sequence

import numpy as np

from gream.evaluation.metrics import paired_bootstrap
from gream.promotion.verdict import Verdict
from pipelines.loop.timeline import RESAMPLES, Check, DayEntry

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
        yield _recovery(after)
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


def _recovery(after: Sequence[DayEntry]) -> Check:
    """The retrained champion's lists beside those of the one before, for the same visitors."""
    now, before = (np.concatenate([day.hits for day in after]), np.concatenate([day.hits_before for day in after]))
    gain = paired_bootstrap(now, before, resamples=RESAMPLES)
    text = (
        f"Quality recovers: the retrained champion showed {now.mean():.3f} of the visitors what they took; the one "
        f"before would have shown it to {before.mean():.3f}, {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]."
    )
    return Check(holds=gain.low > 0, text=text)
