"""A user's history with new events in it: in time order, each event once, bounded by a window."""

from collections.abc import Iterable
from typing import Final

from serving.contracts import UserHistory

NO_HISTORY: Final = UserHistory(item_ids=(), timestamps=())


def extend(history: UserHistory, events: Iterable[tuple[int, str]], window: int) -> UserHistory:
    """The history with those events that it does not hold yet; the history itself where it holds all of them.

    An event is the same as another one of its user if item and second are the same, as in a catalog. Late events go
    where they belong in time; those of a second that is there already go behind it. In a history as long as the window
    nothing is inserted at or before the oldest second: such an event may have been there and left.

    Args:
        history: sorted by time, at most `window` long.
        events: second and item id; in the order in which those of one second are to stand.
        window: most recent events that are kept.
    """
    known = list(zip(history.timestamps, history.item_ids, strict=True))
    oldest = known[0][0] if len(known) >= window else -1
    held = set(known)
    added = [event for event in dict.fromkeys(events) if event[0] > oldest and event not in held]
    if not added:
        return history
    kept = sorted([*known, *added], key=lambda event: event[0])[-window:]
    return UserHistory(item_ids=tuple(item for _, item in kept), timestamps=tuple(second for second, _ in kept))
