"""Days that last seconds: each is one window of the monitor, open for visitors at its beginning, then night."""

import time
from typing import Final

DAY_SECONDS: Final = 26
OPENING_SECONDS: Final = 10
"""How late in a day its visitors may begin to come."""
NIGHT_SECONDS: Final = 12
"""Before the monitor looks: the servers' logs are written every ten seconds."""


def open_day() -> int:
    """Wait until a day may be opened.

    Returns:
        When it began, in seconds since 1970 (UTC), a multiple of `DAY_SECONDS`.
    """
    now = time.time()
    start = int(now) // DAY_SECONDS * DAY_SECONDS
    if now - start > OPENING_SECONDS:
        start += DAY_SECONDS
        time.sleep(start - now + 0.1)
    return start


def close_day(start: int) -> int:
    """Wait until a day is over and all that happened in it is written.

    Returns:
        The time now, in whole seconds since 1970 (UTC).
    """
    time.sleep(NIGHT_SECONDS)
    time.sleep(max(0.0, start + DAY_SECONDS + 0.1 - time.time()))
    return int(time.time())
