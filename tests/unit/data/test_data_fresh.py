"""Fresh feedback joins a catalog by hand-worked examples: the cut, the cap, and what is left out."""

import polars as pl
import pytest

from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from gream.data.fresh import MOST_FRESH_EVENTS, Cut, join_feedback
from gream.data.held_out import HeldOut
from gream.errors import ArtifactError, ConfigError, DataError
from gream.monitoring.evidence import FEEDBACK_SCHEMA

pytestmark = pytest.mark.unit

CUT = Cut(hold_out_since=200, until=300)
BASE = [("ada", "a", 10), ("ada", "b", 20), ("ben", "c", 100)]


def items(*ids):
    return pl.DataFrame([(i, f"Item {i}", "", "", []) for i in ids], schema=ITEM_SCHEMA, orient="row")


def catalog(events=BASE):
    schema = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}
    facts = CatalogFacts(dataset="shop", source="made up", exclude_seen=True, skipped={"k_core": 7})
    return Catalog(pl.DataFrame(events, schema=schema, orient="row"), items("a", "b", "c", "d"), facts)


def feedback(*rows):
    """Rows of user, item, time of arrival, and what differs from a click whose client has the server's clock."""
    full = [
        (f"e{number}", row[0], row[1], more.get("kind", "click"), more.get("at", row[2]), None, row[2])
        for number, (*row, more) in enumerate([(*row, {}) if len(row) == 3 else row for row in rows])
    ]
    return pl.DataFrame(full, schema=FEEDBACK_SCHEMA, orient="row")


def events(catalog):
    return list(catalog.interactions.iter_rows())


def test_before_the_cut_trains_and_the_first_event_after_it_is_held_out():
    joined, held = join_feedback(
        catalog(),
        feedback(
            ("ada", "c", 150),
            ("ada", "d", 200),
            ("ada", "a", 250),
            ("new", "b", 199),
            ("cold", "a", 299),
            ("late", "a", 300),
        ),
        None,
        CUT,
    )
    assert events(joined) == [
        ("ada", "a", 10),
        ("ada", "b", 20),
        ("ada", "c", 150),
        ("ben", "c", 100),
        ("new", "b", 199),
    ]
    assert list(held.cases.iter_rows()) == [("ada", ["a", "b", "c"], "d", 200), ("cold", [], "a", 299)]
    assert joined.facts.skipped == {"k_core": 7, "held_out": 3}
    assert joined.facts.exclude_seen is True


def test_servers_order_what_a_client_s_clock_says_otherwise():
    """What arrived in one second is ordered by the client; the client decides nothing else."""
    rows = feedback(
        ("ada", "c", 150, {"at": 148}),
        ("ada", "d", 150, {"at": 147}),
        ("ada", "a", 149, {"at": 9_999}),
        ("ben", "a", 210),
    )
    joined, _ = join_feedback(catalog(), rows, None, CUT)
    assert events(joined)[2:5] == [("ada", "a", 149), ("ada", "d", 150), ("ada", "c", 150)]


def test_what_the_catalog_has_already_does_not_come_again():
    joined, _ = join_feedback(catalog(), feedback(("ben", "c", 100), ("ada", "d", 99), ("ben", "a", 210)), None, CUT)
    assert events(joined) == BASE


def test_impressions_and_unknown_items_do_not_count_and_new_items_do():
    rows = feedback(
        ("ada", "c", 150, {"kind": "impression"}),
        ("ada", "zzz", 160),
        ("ada", "new", 170, {"kind": "purchase"}),
        ("ben", "new", 210),
    )
    joined, held = join_feedback(catalog(), rows, items("d", "new"), CUT)
    assert events(joined)[2] == ("ada", "new", 170)
    assert joined.item_ids == ["a", "b", "c", "d", "new"]
    assert held.cases["item_id"].to_list() == ["new"]
    assert joined.facts.skipped == {"k_core": 7, "known_new_item": 1, "unknown_item": 1, "held_out": 1}


def test_a_purchase_after_its_click_is_one_step():
    """Also where the click is the last event that the catalog has."""
    rows = feedback(
        ("ada", "b", 140, {"kind": "purchase"}),
        ("ada", "c", 150),
        ("ada", "c", 155, {"kind": "purchase"}),
        ("ada", "a", 160),
        ("ada", "c", 170),
        ("ben", "a", 210),
    )
    joined, _ = join_feedback(catalog(), rows, None, CUT)
    assert [item for user, item, _ in events(joined) if user == "ada"] == ["a", "b", "c", "a", "c"]
    assert joined.facts.skipped["repeated_item"] == 2


def test_a_flood_keeps_its_newest_events_and_nobody_else_loses_any():
    flood = [("bot", "ab"[n % 2], 101 + n // 4) for n in range(MOST_FRESH_EVENTS + 30)]
    joined, _ = join_feedback(catalog(), feedback(*flood, ("ada", "c", 101), ("ben", "a", 210)), None, CUT)
    kept = [event for event in events(joined) if event[0] == "bot"]
    assert len(kept) == MOST_FRESH_EVENTS
    assert kept[0][2] == 101 + 30 // 4
    assert joined.facts.skipped["flood"] == 30
    assert ("ada", "c", 101) in events(joined)


def test_a_catalog_that_reaches_beyond_the_cut_gives_what_is_held_out_too():
    later = [*BASE, ("ben", "a", 205), ("ben", "d", 400)]
    joined, held = join_feedback(catalog(later), feedback(), None, CUT)
    assert events(joined) == BASE
    assert list(held.cases.iter_rows()) == [("ben", ["c"], "a", 205)]
    assert joined.facts.skipped == {"k_core": 7, "after_until": 1, "held_out": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are no fresh events: of the items that are known, none was taken after 1970-01-01 00:01 UTC"),
        ([], "the catalog's last event, and before until = 1970-01-01 00:05 UTC. Nothing can be retrained on"),
        ([("ada", "zzz", 210)], "there are no fresh events"),
        ([("ada", "c", 199)], "from hold_out_since = 1970-01-01 00:03 UTC to until = 1970-01-01 00:05 UTC: the"),
    ],
)
def test_a_window_that_nothing_can_be_judged_by_is_refused(rows, message):
    with pytest.raises(DataError, match=message):
        join_feedback(catalog(), feedback(*rows), None, CUT)


@pytest.mark.parametrize(("since", "until"), [(0, 10), (10, 10), (20, 10)])
def test_a_cut_that_cannot_be(since, until):
    with pytest.raises(ConfigError, match="0 < hold_out_since < until"):
        Cut(since, until)


def test_a_saved_hold_out_comes_back_the_same(tmp_path):
    _, held = join_feedback(catalog(), feedback(("ada", "c", 210), ("new", "a", 220)), None, CUT)
    held.save(tmp_path / "held")
    assert HeldOut.load(tmp_path / "held").cases.equals(held.cases)
    with pytest.raises(ArtifactError):
        HeldOut.load(tmp_path)
    with pytest.raises(DataError, match="each of them once"):
        HeldOut(pl.concat([held.cases, held.cases]))
