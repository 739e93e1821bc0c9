"""A hold-out of 400 users, and a challenger that is equal to the champion but for what is said."""

from datetime import UTC, datetime

import numpy as np

from gream.promotion.gate import ChallengerFacts, Contender, GateSettings, judge_challenger
from gream.promotion.hold_out import COLD_USERS, LONG_TAIL, NEW_ITEMS, HoldOut

USERS = 400
START = 1_000_000
NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
CHAMPION, CHALLENGER = "a" * 64, "b" * 64
SOUND = {"legal_item_share": 1.0, "leaked_events": 0}
TRAINED_UNTIL = (START - 2, START - 1)
RANDOM = np.random.default_rng(0)
BASE = RANDOM.choice([0.0, 0.0, 0.5, 1.0], USERS)
SETTINGS = GateSettings(resamples=1_000)


def hold_out(cold=100, new=60, tail=200):
    """Users in order: the first are cold, the last want new items, some before those long-tail ones."""
    place = np.arange(USERS)
    slices = {
        COLD_USERS: place < cold,
        NEW_ITEMS: place >= USERS - new,
        LONG_TAIL: (place >= USERS - new - tail) & (place < USERS - new),
    }
    return HoldOut(tuple(f"u{user}" for user in place), START, slices)


def judge(
    challenger=BASE,
    champion=BASE,
    seconds=((0.1,) * 50, (0.1,) * 50),
    collisions=(0.01, 0.01),
    trained_until=TRAINED_UNTIL,
    settings_=SETTINGS,
    held=None,
    **facts,
):
    """Of pairs the champion's comes first."""

    def times(values):
        return None if values is None else np.array(values)

    return judge_challenger(
        hold_out() if held is None else held,
        Contender(CHAMPION, champion, times(seconds[0]), collisions[0], trained_until[0]),
        Contender(CHALLENGER, challenger, times(seconds[1]), collisions[1], trained_until[1]),
        ChallengerFacts(**(SOUND | facts)),
        settings_,
        NOW,
    )
