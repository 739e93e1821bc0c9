"""The parts of the loop that are plain functions: the world, and what is claimed of what happened."""

from datetime import UTC, datetime

import polars as pl
import pytest

from gream.data.catalog import Catalog, CatalogFacts
from gream.promotion.verdict import Check as GateCheck
from gream.promotion.verdict import Verdict
from pipelines.loop.checks import check
from pipelines.loop.figure import render_page
from pipelines.loop.timeline import DayEntry, Event, Timeline, hit_rate
from pipelines.loop.world import PAST_SECONDS, Shift, World

pytestmark = pytest.mark.unit

START = 1_800_000_000
USERS = 12
OLD, NEW, HORROR = [f"old{n}" for n in range(20)], ["new0", "new1"], "old19"


@pytest.fixture
def world():
    """Twelve users who saw twenty old films, every other one backwards, and two new films in the middle."""
    seen = {"even": [*OLD[:10], *NEW, *OLD[10:]], "odd": [*OLD[:9:-1], *NEW, *OLD[9::-1]]}
    events = pl.DataFrame(
        [
            (f"u{user:02}", item, 100 * user + place)
            for user in range(USERS)
            for place, item in enumerate(seen["odd" if user % 2 else "even"])
        ],
        schema=["user_id", "item_id", "timestamp"],
        orient="row",
    )
    ids = [*OLD, *NEW]
    items = pl.DataFrame(
        {
            "item_id": ids,
            "title": [f"{item} ({1997 if item in NEW else 1990})" for item in ids],
            "description": [""] * len(ids),
            "brand": [""] * len(ids),
            "categories": [["Horror"] if item == HORROR else ["Drama"] for item in ids],
        }
    )
    return World(Catalog(events, items, CatalogFacts(dataset="d", source="s", exclude_seen=True)), START, seed=3)


def test_the_past_is_the_first_part_of_most_users_and_ends_at_the_start(world):
    sequences = world.past.sequences()
    assert len(sequences) == USERS - 2  # One in six is a newcomer.
    assert {tuple(items) for items in sequences.values()} == {tuple(OLD[:12]), tuple(OLD[:7:-1])}
    times = world.past.interactions["timestamp"]
    assert (times.min(), times.max()) == (START - PAST_SECONDS, START - 1)
    assert world.past.item_ids == OLD
    assert world.grown.item_ids == [*OLD, *NEW]
    assert world.grown.interactions.equals(world.past.interactions)


def test_quiet_visitors_are_regulars_and_take_what_they_took_next_until_nothing_is_left(world):
    visitors = world.visitors(50, None)
    assert set(visitors) == set(world.past.sequences())
    for user in visitors:
        backwards = int(user[1:]) % 2
        assert [world.take(user, None) for _ in range(8)] == (OLD[7::-1] if backwards else OLD[12:])
    assert world.visitors(50, None) == []


def test_a_taste_brings_a_film_forward(world):
    shift = Shift(new_films=0.0, genre=1.0, newcomers=0.0)
    user = next(user for user in world.visitors(50, shift) if int(user[1:]) % 2 == 0)
    assert [world.take(user, shift) for _ in range(3)] == [HORROR, OLD[12], OLD[13]]


def test_newcomers_begin_at_their_beginning_and_nobody_takes_a_film_twice(world):
    shift = Shift(new_films=0.0, genre=0.0, newcomers=1.0)
    first, second = world.visitors(50, shift)
    assert sorted(world.take(first, shift) for _ in OLD) == sorted(OLD)
    assert world.visitors(50, shift) == [second]


def test_new_films_come_in_the_users_own_order(world):
    shift = Shift(new_films=1.0, genre=0.0, newcomers=1.0)
    user = world.visitors(50, shift)[0]
    assert [world.take(user, shift) for _ in range(2)] == NEW
    assert world.take(user, shift) in OLD


def day(number, act, hits, alarms=(), action="nothing", versions=("first",), failed=0, before=None):
    return DayEntry(
        number=number,
        act=act,
        start=START,
        hits=tuple([True] * hits + [False] * (100 - hits)),
        hits_before=() if before is None else tuple([True] * before + [False] * (100 - before)),
        failed=failed,
        versions=versions,
        action=action,
        alarms=tuple(alarms),
    )


def verdict(accepted):
    state = "passed" if accepted else "failed"
    return Verdict(
        accepted=accepted,
        champion="a" * 64,
        challenger="b" * 64,
        at=datetime.fromtimestamp(START, UTC),
        metric="ndcg@10",
        hold_out_start=START,
        hold_out_users=100,
        confidence=0.95,
        checks=(GateCheck(name="all users", state=state, text="Worse."),),
    )


GOOD = [
    day(1, "reference", 20),
    day(2, "quiet", 20),
    day(3, "shift", 8, alarms=["new_items"], action="index_new_items"),
    day(4, "shift", 8, alarms=["category"], action="retrain", versions=("second",)),
    day(5, "after", 30, versions=("third",), before=20),
    day(6, "rolled back", 10, versions=("second",)),
]


def broken(days, refused=True, version="second"):
    return [one.text for one in check(days, verdict(not refused), version) if not one.holds]


def test_a_loop_that_shows_everything():
    assert broken(GOOD) == []
    assert hit_rate(GOOD[2:4]).value == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("place", "change", "text"),
    [
        (1, {"alarms": ["latency"]}, "1 quiet days: alarms on days [2]."),
        (3, {"action": "warn"}, "After the shift a retraining was decided on no day."),
        (
            4,
            {"hits": 20},
            "Quality recovers: the retrained champion showed 0.200 of the visitors what they took; the one before "
            "would have shown it to 0.200, +0.000 [+0.000, +0.000].",
        ),
        (4, {"versions": ("first",)}, "None was served."),
        (5, {"versions": ("third",)}, "After the rollback third answered; second should."),
        (2, {"failed": 1}, "1 of 600 visits met with a failed request, all moves included."),
    ],
)
def test_what_does_not_hold_is_said(place, change, text):
    days = list(GOOD)
    kept = {"number": days[place].number, "act": days[place].act, "hits": sum(days[place].hits)}
    others = {name: getattr(days[place], name) for name in ("alarms", "action", "versions", "failed")}
    before = {"before": sum(days[place].hits_before) or None}
    days[place] = day(**{**kept, **others, **before, **change})
    (said,) = broken(days)
    assert said.startswith(text)


def test_an_accepted_bad_challenger_is_said():
    assert broken(GOOD, refused=False) == ["The bad challenger was accepted."]


def test_the_page_and_the_table_tell_of_each_day():
    timeline = Timeline(
        days=tuple(GOOD),
        events=(Event(day=4, text="retrain: promoted. <third> was made the champion."),),
        checks=tuple(check(GOOD, verdict(accepted=False), "second")),
        seconds=600,
    )
    page, table = render_page(timeline), timeline.table()
    assert page.count("<circle") == 6
    assert "&lt;third&gt; was made the champion." in page
    assert "  4  shift            0.080  second         retrain (category)" in table
    assert "with the retrained champion" in table
