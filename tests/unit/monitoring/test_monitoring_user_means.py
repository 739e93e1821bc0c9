"""What a window says of each user, worked out by hand; and that no single user moves it."""

import math

import numpy as np
import polars as pl
import pytest

from gream.indexing.semantic_index import SemanticIndex
from gream.monitoring import user_means as user_means_module
from gream.monitoring.evidence import Window, user_hash
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.monitors import MONITORS
from gream.monitoring.request_log import RequestLog
from gream.monitoring.served_items import ServedItems
from gream.monitoring.user_means import user_means

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
START = 20_000 * 86_400
HOUR = 3_600


@pytest.fixture
def means(tmp_path, served, request_row, write_feedback):
    """Requests and events of one hour as user -> monitor -> values."""

    def means(requests, events=()):
        RequestLog(tmp_path).write(request_row(name, **changes) for name, changes in requests.items())
        write_feedback(tmp_path, list(events))
        table = user_means(read_evidence(tmp_path, Window(START, START + HOUR), 600, KEY), served)
        return {
            user: {
                name: row[columns].tolist()
                for name, columns in zip(table.layout.buckets, table.layout.columns, strict=True)
            }
            for user, row in zip(table.users.tolist(), table.values, strict=True)
        }

    return means


def test_the_monitors_stand_in_one_table():
    names = [monitor.name for monitor in MONITORS]
    assert len(set(names)) == len(names) == 20
    assert {monitor.group for monitor in MONITORS} == {
        "input",
        "output",
        "quality",
        "data_quality",
        "catalogue",
        "operations",
    }


def test_buckets_of_one_request(means):
    (user,) = means(
        {"a": {"history_length": 3, "seconds_since_last": 7_200, "last_level1": 2, "top_category": "War"}}
    ).values()
    assert user["history_length"] == [0, 0, 1, 0, 0, 0, 0]  # 3 to 5
    assert user["history_age"] == [0, 1, 0, 0, 0, 0, 0]  # more than an hour, within a day
    assert user["last_level1"] == [0, 0, 1, 0]  # code 2 is none of those that are told apart
    assert user["category"] == [0, 0, 1, 0]


def test_an_empty_history(means):
    changes = {"history_length": 0, "seconds_since_last": None, "last_level1": None, "top_category": None, "cold": True}
    (user,) = means({"a": changes}).values()
    assert user["history_length"] == [1, 0, 0, 0, 0, 0, 0]
    assert user["history_age"] == [0, 0, 0, 0, 0, 0, 1]
    assert user["last_level1"] == user["category"] == [0, 0, 0, 1]
    assert user["cold_users"] == [1]
    assert np.isnan(user["unknown_items"]).all()


def test_what_was_shown(means):
    scores = (math.log(0.5), math.log(0.25), math.log(0.25))
    (user,) = means({"a": {"items": ("m0", "m2", "m5"), "scores": scores}}).values()
    assert user["shown_level1"] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert user["novelty"] == pytest.approx([(0.0 + 0.4 + 1.0) / 3])
    assert user["popularity_bias"] == pytest.approx([1 / 3])
    assert user["list_probability"] == pytest.approx([1.0])
    assert user["list_entropy"] == pytest.approx([1.5 * math.log(2) / math.log(3)])


def test_lists_overlap_with_those_of_the_next_user(means):
    lists = {"1": ("m0", "m1", "m2"), "2": ("m1", "m2", "m3"), "3": ("m5", "m4", "m3")}
    users = means({name: {"user": name, "items": items} for name, items in lists.items()})
    assert users["1"]["list_overlap"] == pytest.approx([2 / 3])
    assert users["2"]["list_overlap"] == pytest.approx([1 / 3])
    assert np.isnan(users["3"]["list_overlap"]).all()


def test_time_to_answer_counts_by_its_logarithm(means):
    users = means({name: {"user": name, "total_ms": ms} for name, ms in {"a": 1.0, "b": 1_000.0, "c": 1e9}.items()})
    assert [users[name]["latency"][0] for name in "abc"] == pytest.approx([0.0, 0.6, 1.0])


def test_a_users_requests_are_averaged(means):
    (user,) = means({"a": {"degraded": "why", "history_length": 1}, "b": {}, "c": {}, "d": {}}).values()
    assert user["degraded"] == [0.25]
    assert user["history_length"] == [0, 0.25, 0.75, 0, 0, 0, 0]


def test_what_feedback_says(means):
    events = [
        ("e1", "v", "m0", "click", START + 9, "a", START + 10),
        ("e2", "v", "m9", "click", START + 9, "nobody's", START + 10),
        ("e3", "v", "m0", "impression", START - 9_000, None, START + 10),
    ]
    users = means({"a": {"timestamp": START}}, events)
    said = users[user_hash("v", KEY)]
    assert said["unmatched_feedback"] == [0.5]  # of two that name a request
    assert said["late_feedback"] == pytest.approx([1 / 3])
    assert said["new_item_demand"] == [0.5]  # of two clicks
    assert np.isnan(said["history_length"]).all()


def test_a_flood_of_one_user_moves_no_mean(tmp_path, served, request_row):
    RequestLog(tmp_path).write(request_row(f"a{number}", user=f"u{number:03}") for number in range(100))
    window = Window(START, START + HOUR)
    before = user_means(read_evidence(tmp_path, window, 0, KEY), served)
    odd = {
        "history_length": 900,
        "top_category": "Comedy",
        "degraded": "why",
        "total_ms": 9e4,
        "items": ("m5",),
        "scores": (-9.0,),
    }
    RequestLog(tmp_path).write(request_row(f"f{number}", user="u050", **odd) for number in range(5_000))
    after = user_means(read_evidence(tmp_path, window, 0, KEY), served)
    seen = ~np.isnan(before.values).all(axis=0)
    moved = np.abs(np.nanmean(after.values[:, seen], axis=0) - np.nanmean(before.values[:, seen], axis=0))
    # One of a hundred users; the overlap is measured in pairs, and so with two of the 99.
    assert moved.max() <= 2 / 99 + 1e-6
    assert moved[before.layout.columns[0]].max() == pytest.approx(5_000 / 5_001 / 100, rel=1e-3)


def test_of_many_users_the_first_by_their_hash_are_looked_at_with_all_that_they_did(means, monkeypatch):
    """Of four; the third has done nothing but send feedback, and what it names is a request of the fourth."""
    monkeypatch.setattr(user_means_module, "MOST_USERS", 3)
    requests = {f"{user} {number}": {"user": user} for user in ("0", "1", "g") for number in range(2)}
    sender = user_hash("v", KEY)
    assert "1" < sender < "g"
    users = means(requests | {"0 2": {"user": "0", "degraded": "why"}}, [event("e1", "g 1"), event("e2", "nobody's")])
    assert list(users) == ["0", "1", sender]
    assert [users[name]["degraded"] for name in "01"] == [pytest.approx([1 / 3]), [0.0]]
    assert users[sender]["unmatched_feedback"] == [0.5]


def test_of_many_users_all_who_left_feedback_are_looked_at_in_what_it_says(means, monkeypatch):
    """Of four; the last one's click is one of few, but how often anybody clicks is not told by who did."""
    monkeypatch.setattr(user_means_module, "MOST_USERS", 2)
    sender = user_hash("v", KEY)
    assert sender > "1b"
    requests = {f"{user} 0": {"user": user} for user in ("0", "1", "1b")}
    users = means(requests | {"v 0": {"user": sender}}, [event("e1", "v 0")])
    assert list(users) == ["0", "1", sender]
    assert users[sender]["hit_rate"] == [1.0]
    assert math.isnan(users[sender]["click_rate"][0])
    assert math.isnan(users[sender]["degraded"][0])
    assert [users[name]["click_rate"] for name in "01"] == [[0.0], [0.0]]


def event(name, request):
    return (name, "v", "m0", "click", START + 9, request, START + 10)


def test_more_users_than_a_byte_counts_are_kept_apart(means):
    shown = {"last_level1": 0, "history_length": 0}
    users = means({f"u{n:03}": {"user": f"u{n:03}", **(shown if n % 2 else {})} for n in range(300)})
    assert [users[f"u{n:03}"]["history_length"][0] for n in range(300)] == [n % 2 for n in range(300)]


def test_served_items_are_described_by_training_data():
    codes = np.array([[1], [1], [0], [2], [0]])
    index = SemanticIndex.from_codes([f"m{number}" for number in range(5)], codes, (3,))
    items = pl.DataFrame({"item_id": [f"m{n}" for n in range(5)], "categories": [["A"], ["A", "B"], ["B"], [], ["B"]]})
    taken = ["m0"] * 7 + ["m2"] * 3 + ["m1"] + ["unknown"] * 99
    served = ServedItems.of(index, items, pl.DataFrame({"item_id": taken}))
    table = served.items
    # 8, 2, 4, 1, 1 with one more for each: 16 in all.
    assert table["surprise"].to_list() == pytest.approx([1 / 4, 3 / 4, 2 / 4, 1.0, 1.0])
    assert table["head"].to_list() == [True, False, False, False, False]
    assert served.level1 == ("1", "0", "2")  # 10, 5, 1
    assert served.categories == ("A", "B")  # 10, 2 + 4 + 1


def test_new_items_make_no_other_item_less_rare():
    """The rarest of the old ones was taken nine times; by that one everything else was once measured."""
    taken = pl.DataFrame({"item_id": ["m0"] * 9_000 + ["m1"] * 90 + ["m2"] * 9})
    names = [f"m{number}" for number in range(13)]
    items = pl.DataFrame({"item_id": names, "categories": [["A"]] * 13})

    def surprise(count):
        index = SemanticIndex.from_codes(names[:count], np.zeros((count, 1), dtype=np.int64), (1,))
        return ServedItems.of(index, items.head(count), taken).items["surprise"].to_numpy()

    old, new = surprise(3), surprise(13)
    assert old[2] == pytest.approx(math.log(9_102 / 10) / math.log(9_102))
    assert new[:3] == pytest.approx(old, abs=0.001)
    assert new[3:] == pytest.approx(1.0)
