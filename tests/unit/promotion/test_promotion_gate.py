"""The gate, check by check, with numbers that can be followed by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promotion_evidence import (
    BASE,
    CHALLENGER,
    CHAMPION,
    NOW,
    RANDOM,
    SETTINGS,
    SOUND,
    START,
    TRAINED_UNTIL,
    USERS,
    hold_out,
    judge,
)

from gream.errors import ArtifactError, ConfigError, DataError
from gream.evaluation.metrics import paired_bootstrap
from gream.promotion.hold_out import COLD_USERS, LONG_TAIL, NEW_ITEMS, HoldOut, leaked_events
from gream.promotion.verdict import Verdict

pytestmark = pytest.mark.unit


def check(verdict, name):
    (found,) = [one for one in verdict.checks if one.name == name]
    return found


def test_an_equal_challenger_passes():
    verdict = judge()
    assert verdict.accepted
    assert [one.name for one in verdict.checks] == [
        "all users",
        COLD_USERS,
        NEW_ITEMS,
        LONG_TAIL,
        "legal items",
        "latency",
        "index audit",
        "leak check",
    ]
    assert (verdict.champion, verdict.challenger, verdict.at) == (CHAMPION, CHALLENGER, NOW)
    assert check(verdict, "all users").text == (
        "All users (400): NDCG@10, challenger minus champion, is +0.0000, at least +0.0000; above the margin of "
        "-0.0100."
    )


def test_the_bound_is_the_paired_bootstraps_at_a_quarter_of_the_error():
    better = np.clip(BASE + RANDOM.choice([-0.5, 0.0, 0.0, 0.5, 0.5], USERS), 0, 1)
    found = check(judge(better), "all users")
    assert found.difference == paired_bootstrap(better, BASE, confidence=1 - 2 * 0.05 / 4, resamples=1_000)
    assert (found.users, found.limit) == (USERS, -0.01)


def test_a_worse_challenger_is_refused_on_the_whole():
    worse = np.where(RANDOM.random(USERS) < 0.3, 0.0, BASE)
    verdict = judge(worse)
    assert not verdict.accepted
    assert check(verdict, "all users").state == "failed"
    assert verdict.reasons[0].endswith("not above the margin of -0.0100.")


def test_what_cannot_be_told_apart_is_refused_too():
    noisy = np.where(np.arange(USERS) % 2, 0.5, -0.5)
    found = check(judge(noisy, champion=np.zeros(USERS)), "all users")
    assert (found.difference.value, found.state) == (0.0, "failed")


def test_harm_to_one_slice_refuses_though_the_whole_gains():
    harmful = np.clip(BASE + 0.3, 0, 1)
    harmful[:100] = 0.0
    verdict = judge(harmful)
    states = {one.name: one.state for one in verdict.checks}
    assert (states["all users"], states[COLD_USERS], states[LONG_TAIL]) == ("passed", "failed", "passed")
    assert verdict.reasons == (check(verdict, COLD_USERS).text,)
    unguarded = SETTINGS.model_copy(update={"guards": (NEW_ITEMS, LONG_TAIL)})
    assert judge(harmful, settings_=unguarded).accepted


@pytest.mark.parametrize(("harm", "state"), [(0.02, "passed"), (0.04, "failed")])
def test_a_slice_may_lose_up_to_three_points_where_the_whole_may_lose_one(harm, state):
    harmful = BASE.copy()
    harmful[:50] -= harm  # Half a point of the whole, at most.
    verdict = judge(harmful, held=hold_out(cold=50))
    found = check(verdict, COLD_USERS)
    assert (found.state, found.limit, found.difference.low) == (state, -0.03, pytest.approx(-harm))
    assert check(verdict, "all users").state == "passed"
    assert verdict.accepted == (state == "passed")


def test_more_guards_make_each_bound_lower():
    noisy = np.clip(BASE + RANDOM.choice([-0.5, 0.0, 0.5], USERS), 0, 1)
    alone = SETTINGS.model_copy(update={"guards": ()})
    low, lower = (check(judge(noisy, settings_=one), "all users").difference.low for one in (alone, SETTINGS))
    assert lower < low


def test_a_slice_of_nobody_passes_and_a_small_one_is_missing():
    assert check(judge(held=hold_out(cold=0)), COLD_USERS).text == "Cold users: nobody in the hold-out belongs there."
    verdict = judge(held=hold_out(cold=29))
    assert (verdict.accepted, check(verdict, COLD_USERS).state) == (False, "missing")
    assert verdict.reasons == ("Cold users: 29 of 29 users were measured; 30, and all, are needed.",)


def test_few_who_want_new_items_hold_no_challenger_back():
    """The champion has none of them in its lists, so that nobody can get less."""
    verdict = judge(champion=np.where(np.arange(USERS) < USERS - 29, BASE, 0.0), held=hold_out(new=29))
    assert verdict.accepted
    assert check(verdict, NEW_ITEMS).text == (
        "New items: 29 users want one, whom the champion cannot serve; the challenger cannot be worse there."
    )
    unmeasured = BASE.copy()
    unmeasured[-1] = np.nan
    assert check(judge(unmeasured, held=hold_out(new=29)), NEW_ITEMS).state == "missing"


@pytest.mark.parametrize(
    ("collisions", "state", "limit"),
    [
        ((0.01, 0.0499), "passed", "5.0%"),
        ((0.01, 0.05), "failed", "5.0%"),
        ((0.056, 0.056), "passed", "7.0%"),  # Made so by its settings: no new index has fewer.
        ((0.056, 0.0699), "passed", "7.0%"),
        ((0.056, 0.07), "failed", "7.0%"),
    ],
)
def test_an_index_may_collide_as_much_as_the_champions_does(collisions, state, limit):
    found = check(judge(collisions=collisions), "index audit")
    assert (found.state, found.text.rpartition(" ")[2]) == (state, f"{limit}.")


@pytest.mark.parametrize(
    ("facts", "name", "state", "reason"),
    [
        ({"legal_item_share": 0.9999}, "legal items", "failed", "Legal items: 99.9900% of what was recommended"),
        ({"collisions": (0.01, 0.05)}, "index audit", "failed", "Index audit: 5.0% of the items share all their codes"),
        ({"leaked_events": 1}, "leak check", "failed", "Leak check: 1 events of the hold-out stand in"),
        (
            {"trained_until": (None, START)},
            "leak check",
            "failed",
            "Leak check: the challenger's training data reach into the time of the hold-out.",
        ),
        (
            {"trained_until": (START, START - 1)},
            "leak check",
            "failed",
            "Leak check: the champion's training data reach into the time of the hold-out: hold out later events.",
        ),
        ({"legal_item_share": None}, "legal items", "missing", "Legal items: not measured."),
        ({"collisions": (0.01, None)}, "index audit", "missing", "Index audit: not made of both."),
        ({"collisions": (None, 0.01)}, "index audit", "missing", "Index audit: not made of both."),
        ({"leaked_events": None}, "leak check", "missing", "Leak check: not made."),
        ({"trained_until": (START - 2, None)}, "leak check", "missing", "Leak check: not made."),
        ({"champion": None}, "all users", "missing", "All users: NDCG@10 was not measured."),
        ({"challenger": None}, COLD_USERS, "missing", "All users: NDCG@10 was not measured."),
        ({"seconds": (None, (0.1,))}, "latency", "missing", "Latency: not measured for both."),
        ({"seconds": ((0.1,), ())}, "latency", "missing", "Latency: not measured for both."),
    ],
)
def test_each_check_alone_refuses(facts, name, state, reason):
    verdict = judge(**facts)
    assert (verdict.accepted, check(verdict, name).state) == (False, state)
    assert verdict.reasons[0].startswith(reason)


def test_a_champion_that_does_not_say_until_when_it_was_trained_holds_no_challenger_back():
    verdict = judge(trained_until=(None, START - 1))
    assert verdict.accepted
    assert check(verdict, "leak check").text == (
        "Leak check: the challenger's training data end before the hold-out begins."
    )
    assert check(judge(), "leak check").text == (
        "Leak check: the training data of both end before the hold-out begins."
    )


def test_latency_is_that_of_the_slowest_answers():
    steady, spiky = np.full(100, 0.1), np.concatenate([np.full(94, 0.05), np.full(6, 0.13)])
    assert check(judge(seconds=(steady, 1.19 * steady)), "latency").state == "passed"
    failed = check(judge(seconds=(steady, spiky)), "latency")
    assert failed.state == "failed"
    assert failed.text == (
        "Latency: 95% of the challenger's answers take up to 130 ms, of the champion's 100 ms; 20% more is all that is "
        "allowed."
    )


def test_one_user_without_a_value_is_missing_evidence():
    gap = BASE.copy()
    gap[7] = np.nan
    verdict = judge(gap)
    assert verdict.reasons[0] == "All users: 399 of 400 users were measured; 30, and all, are needed."


def test_arrays_and_guards_must_fit():
    with pytest.raises(ConfigError, match=r"400 values are needed.*policy bbbbbbbbbbbb has an array of shape \(3,\)"):
        judge(np.zeros(3))
    with pytest.raises(
        ConfigError, match="'kings' is no slice of the hold-out; it has cold users, new items, long tail"
    ):
        judge(settings_=SETTINGS.model_copy(update={"guards": ("kings",)}))


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {
            "legal_item_share": st.sampled_from([1.0, 1.0, 0.99, None, float("nan")]),
            "collisions": st.sampled_from(
                [(0.01, 0.0), (0.01, 0.01), (0.01, 0.2), (None, 0.0), (0.0, None), (0.01, float("nan"))]
            ),
            "trained_until": st.sampled_from([TRAINED_UNTIL, (None, START - 1), (START - 2, START + 9), (START, None)]),
            "leaked_events": st.sampled_from([0, 0, 3, None]),
            "champion": st.sampled_from([BASE, BASE, None]),
            "challenger": st.sampled_from([BASE, BASE, None, np.full(USERS, np.nan)]),
            "seconds": st.sampled_from([((0.1,), (0.1,)), (None, (0.1,)), ((0.1,), (float("nan"),))]),
        }
    )
)
def test_missing_evidence_never_promotes(what):
    verdict = judge(**what)
    sound = (
        {name: what[name] for name in SOUND} == SOUND
        and what["trained_until"] in (TRAINED_UNTIL, (None, START - 1))
        and what["collisions"] in ((0.01, 0.0), (0.01, 0.01))
        and what["champion"] is not None
        and what["challenger"] is BASE
        and what["seconds"] == ((0.1,), (0.1,))
    )
    assert verdict.accepted == sound


def test_a_verdict_is_kept_and_cannot_be_turned(tmp_path):
    verdict = judge(legal_item_share=0.5)
    path = tmp_path / "deep" / "verdict.json"
    verdict.save(path)
    assert Verdict.load(path) == verdict
    path.write_text(path.read_text().replace('"accepted": false', '"accepted": true'))
    with pytest.raises(ArtifactError, match="accepted does not follow from the checks"):
        Verdict.load(path)
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        Verdict.load(tmp_path / "nothing.json")


def test_slices_by_hand():
    held = HoldOut.of(
        users=["u1", "u2", "u3"],
        histories=[["a"] * 5, ["a"] * 6, []],
        targets=["popular", "rare", "fresh"],
        start=START,
        champion_items={"popular", "rare"},
        head_items={"popular"},
    )
    assert {name: mask.tolist() for name, mask in held.slices.items()} == {
        COLD_USERS: [True, False, True],
        NEW_ITEMS: [False, False, True],
        LONG_TAIL: [False, True, False],
    }
    with pytest.raises(DataError, match="each of them once"):
        HoldOut.of(["u", "u"], [[], []], ["a", "b"], START, set(), set())
    with pytest.raises(DataError, match="a hold-out of 1 users has 1 histories and 2 targets"):
        HoldOut.of(["u"], [[]], ["a", "b"], START, set(), set())


def test_leaks_are_events_not_users():
    events = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["i", "i"], "timestamp": [5, 6]})
    training = pl.DataFrame(
        {"user_id": ["u", "v", "v"], "item_id": ["i", "j", "i"], "timestamp": [4, 6, 6], "rating": 1.0}
    )
    assert leaked_events(events, training) == 1
    assert leaked_events(events, training.head(2)) == 0
