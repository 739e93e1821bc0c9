"""Which event times are taken.

An event from the future would stand at the end of its user's history for good, so what is ahead of the clock by more
than clocks differ is refused. An event older than the ids that the outbox remembers could be a repetition that nobody
recognises, so that is refused too.
"""

from collections.abc import Sequence
from typing import Final

from gream.errors import RequestError
from serving.contracts import FeedbackEvent

MAX_AHEAD_SECONDS: Final = 300
DAY_SECONDS: Final = 86_400


def check_times(events: Sequence[FeedbackEvent], now: float, max_age_days: int) -> None:
    """Check the timestamps of events that arrive together.

    Raises:
        RequestError: one is out of range; it is named by its position.
    """
    for position, event in enumerate(events):
        if event.timestamp > now + MAX_AHEAD_SECONDS:
            raise RequestError(
                f"events[{position}].timestamp is more than {MAX_AHEAD_SECONDS} seconds ahead of this server's clock; "
                "nothing was kept."
            )
        if event.timestamp < now - max_age_days * DAY_SECONDS:
            raise RequestError(f"events[{position}].timestamp is more than {max_age_days} days ago; nothing was kept.")
