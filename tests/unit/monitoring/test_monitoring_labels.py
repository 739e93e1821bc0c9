"""Labels worked out by hand: which event belongs to which request, and at which rank."""

import math

import pytest

from gream.monitoring.evidence import Window, user_hash
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.labels import label_last_requests, label_requests
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
START = 20_000 * 86_400
USER = user_hash("u", KEY)
MATCH = 600


@pytest.fixture
def labels(tmp_path, request_row, write_feedback):
    """Labels of requests at the given seconds, all with the list m0, m1, m2, after the given events."""

    def labels(requests, events, user=USER, label=label_requests):
        RequestLog(tmp_path).write(request_row(name, timestamp=START + at, user=user) for name, at in requests)
        rows = [
            (f"e{number}", who, item, kind, START + at, request, START + at)
            for number, (who, item, kind, at, request) in enumerate(events)
        ]
        write_feedback(tmp_path, rows)
        evidence = read_evidence(tmp_path, Window(START, START + 3_600), MATCH, KEY)
        table = label(evidence)
        return list(zip(*(table[name].to_list() for name in ("click_rate", "hit_rate", "ndcg")), strict=True))

    return labels


def test_a_click_on_the_second_item(labels):
    assert labels([("a", 0)], [("u", "m1", "click", 30, "a")]) == [(1.0, 1.0, pytest.approx(1 / math.log2(3)))]


def test_an_item_found_elsewhere_is_a_hit_and_no_click(labels):
    assert labels([("a", 0)], [("u", "m0", "purchase", 30, None)]) == [(0.0, 1.0, 1.0)]


def test_an_item_outside_the_list_is_a_miss(labels):
    assert labels([("a", 0)], [("u", "m5", "click", 30, None)]) == [(0.0, 0.0, 0.0)]


def test_without_any_item_taken_there_is_no_label(labels):
    assert labels([("a", 0)], [("u", "m0", "impression", 5, "a")]) == [(0.0, None, None)]


def test_only_the_first_item_after_the_request_is_its_label(labels):
    events = [("u", "m5", "click", 30, None), ("u", "m0", "click", 40, None), ("u", "m0", "click", -5, None)]
    assert labels([("a", 0)], events) == [(0.0, 0.0, 0.0)]


def test_what_comes_after_the_match_time_does_not_count(labels):
    assert labels([("a", 0)], [("u", "m0", "click", MATCH, "a")]) == [(1.0, 1.0, 1.0)]
    assert labels([("b", 1)], [("u", "m0", "click", MATCH + 2, "b")])[-1] == (0.0, None, None)


def test_an_event_that_names_a_request_belongs_to_it_though_a_clock_is_behind(labels):
    assert labels([("a", 400)], [("u", "m0", "click", 100, "a")]) == [(1.0, None, None)]
    assert labels([("b", 401)], [("u", "m0", "click", 100, "b")])[-1] == (0.0, None, None)


def test_other_users_events_are_not_labels(labels):
    assert labels([("a", 0)], [("v", "m0", "click", 30, None)]) == [(0.0, None, None)]


def test_each_request_has_its_own_label(labels):
    events = [("u", "m0", "click", 30, "a"), ("u", "m2", "click", 130, "b")]
    assert labels([("a", 0), ("b", 100)], events) == [(1.0, 1.0, 1.0), (1.0, 1.0, 0.5)]


M0, M1, M5 = (1.0, 1.0, 1.0), (1.0, 1.0, pytest.approx(1 / math.log2(3))), (0.0, 0.0, 0.0)
NONE = (0.0, None, None)


@pytest.mark.parametrize(
    ("requests", "events", "all_of_them", "last_ones"),
    [
        # The page asks again in the second of the click: the click is that of the list before.
        ([("a", 0), ("b", 9)], [("m0", 9, "a")], [M0, NONE], [M0, NONE]),
        ([("a", 0), ("b", 9)], [("m5", 9, None)], [M5, NONE], [M5, NONE]),
        # So it goes on, and what is clicked later is that of the later list.
        ([("a", 0), ("b", 9), ("c", 20)], [("m5", 9, None), ("m5", 20, None)], [M5, M5, NONE], [M5, M5, NONE]),
        ([("a", 0), ("b", 9)], [("m1", 9, "a"), ("m0", 30, "b")], [M1, M0], [M1, M0]),
        # Asked and clicked within one second, as a program does.
        ([("b", 9)], [("m0", 9, "b")], [M0], [M0]),
        ([("b", 9)], [("m5", 9, None)], [M5], [M5]),
        ([("a", 0), ("b", 9)], [("m5", 0, None), ("m5", 9, None)], [M5, M5], [M5, M5]),
        ([("a", 0), ("b", 9)], [("m5", 5, None), ("m5", 9, None)], [M5, M5], [M5, M5]),
        # It names the list that was asked for last, so the one before has got nothing of its own.
        ([("a", 0), ("b", 9)], [("m0", 9, "b")], [(0.0, 1.0, 1.0), M0], [NONE, M0]),
        # The list before is older than what counts.
        ([("a", 0), ("b", MATCH + 1)], [("m5", MATCH + 1, None)], [NONE, M5], [NONE, M5]),
        ([("a", 0), ("b", MATCH)], [("m5", MATCH, None)], [M5, NONE], [M5, NONE]),
    ],
)
def test_a_click_in_the_second_of_a_request(labels, requests, events, all_of_them, last_ones):
    taken = [("u", item, "click", at, request) for item, at, request in events]
    assert labels(requests, taken) == all_of_them
    assert labels(requests, taken, label=label_last_requests) == last_ones
