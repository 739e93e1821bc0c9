"""A small shop whose users do many things in one second."""

import random

import polars as pl

from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from serving.contracts import FeedbackEvent

OPENING = 1_700_000_000
ITEMS = [f"i{number}" for number in range(12)]


def catalog(events, items=ITEMS, ordinal_time=False):
    rows = [(item, f"Title of {item}", "Kent", ["Office"]) for item in items]
    return Catalog(
        pl.DataFrame(events, schema=INTERACTION_SCHEMA, orient="row").sort("user_id", "timestamp", maintain_order=True),
        pl.DataFrame([(*row[:2], "", *row[2:]) for row in rows], schema=ITEM_SCHEMA, orient="row"),
        CatalogFacts(dataset="shop", source="a test", exclude_seen=False, ordinal_time=ordinal_time),
    )


def crowded_events(seed=0, users=12):
    """Up to 25 events of each user in at most 6 different seconds, so that most share theirs with others."""
    draw = random.Random(seed)
    seconds = [OPENING + offset for offset in (0, 1, 2, 60, 3_600, 86_400)]
    return [
        (f"u{user}", draw.choice(ITEMS), draw.choice(seconds))
        for user in range(users)
        for _ in range(draw.randint(1, 25))
    ]


def positions(seed=0, users=12):
    """The same without a clock: each user's events are numbered."""
    draw = random.Random(seed)
    return [(f"u{user}", draw.choice(ITEMS), place) for user in range(users) for place in range(draw.randint(1, 25))]


def click(user, item, second, kind="click"):
    return FeedbackEvent(event_id=f"{user}-{item}-{second}", user_id=user, item_id=item, kind=kind, timestamp=second)
