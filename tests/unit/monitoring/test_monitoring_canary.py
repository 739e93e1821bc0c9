"""A trial, looked at by hand: what wins, what loses, and what needs more visitors."""

from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from gream.monitoring.canary import Arm, CanarySettings, look_at
from gream.monitoring.evidence import Window, user_hash
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.unit

KEY = "a secret of the tests"
START = 20_000 * 86_400
SETTINGS = CanarySettings()


def hashed(user):
    return user_hash(user, KEY)


def arm(users, hits, engine_ms=20.0):
    """So many users, of whom so many were shown what they took."""
    return Arm(np.array([1.0] * hits + [0.0] * (users - hits)), engine_ms)


def test_the_interval_holds_for_all_looks():
    # The larger variance is 50/49 x 0.16, so the error of the difference is 0.060233; of seven looks each has
    # 0.05 / 7 to spend, which is 2.6901 errors to either side: 0.1620.
    look = look_at(arm(50, 10), arm(450, 90), 1, SETTINGS)
    assert look.finding == "wait"
    assert look.text == (
        "Open: hit_rate 0.200 of 50 users beside 0.200 of 450 users, +0.000 [-0.162, +0.162] in 1 windows."
    )


@pytest.mark.parametrize(
    ("canary", "champion", "windows", "finding"),
    [
        (arm(4_000, 880), arm(36_000, 7_200), 2, "promote"),  # 0.02 better, by 0.002 at least
        (arm(4_000, 800), arm(36_000, 7_200), 2, "promote"),  # as good, 0.018 worse at worst
        (arm(4_000, 880), arm(36_000, 7_200), 1, "wait"),  # too early to win
        (arm(4_000, 780), arm(36_000, 7_200), 2, "wait"),  # 0.005 worse, perhaps 0.023
        (arm(4_000, 700), arm(36_000, 7_200), 1, "withdraw"),  # 0.025 worse, by 0.008 at least
        (arm(4_000, 780), arm(36_000, 7_200), 7, "withdraw"),  # never shown
        (arm(49, 49), arm(36_000, 7_200), 6, "wait"),  # too few to say anything, however good
        (arm(49, 49), arm(36_000, 7_200), 7, "withdraw"),
        (arm(0, 0, None), arm(36_000, 7_200), 7, "withdraw"),  # it never answered
        (arm(4_000, 880), arm(0, 0, None), 7, "withdraw"),  # nothing to compare with
        (arm(4_000, 880, 41.0), arm(36_000, 7_200), 2, "withdraw"),  # more than twice as slow
        (arm(4_000, 880, 40.0), arm(36_000, 7_200), 2, "promote"),
        (arm(10, 5, 41.0), arm(36_000, 7_200), 1, "wait"),  # slow in its first moments
    ],
)
def test_who_wins(canary, champion, windows, finding):
    assert look_at(canary, champion, windows, SETTINGS).finding == finding


def test_a_few_visitors_without_a_hit_are_no_reason_to_withdraw():
    """Of 50 visitors of a policy with the hit rate .0864, nobody hits in one case of 91, and that is seven looks."""
    look = look_at(arm(50, 0), arm(5_000, 432), 1, SETTINGS)
    assert look.finding == "wait"
    assert look_at(arm(150, 0), arm(5_000, 432), 1, SETTINGS).finding == "withdraw"


@pytest.mark.parametrize("hits", [0, 1])
def test_sides_that_are_all_the_same_do_not_make_the_interval_a_point(hits):
    """As if one of 52 had hit: the variance is 51/52^2, the error 0.020473, and 2.6901 of it are 0.055."""
    look = look_at(arm(50, 50 * hits), arm(450, 450 * hits), 2, SETTINGS)
    assert look.finding == "wait"
    assert look.text.endswith("of 450 users, +0.000 [-0.055, +0.055] in 2 windows.")
    # With a variance of 1001/1002^2, 0.0026 to either side.
    assert look_at(arm(1_000, 1_000 * hits), arm(9_000, 9_000 * hits), 2, SETTINGS).finding == "promote"


def test_an_end_without_a_result_says_what_was_missing():
    text = look_at(arm(49, 49), arm(36_000, 7_200), 7, SETTINGS).text
    assert text == (
        "The trial is over and has shown nothing. 49 users with a label on one side in 7 windows; 50 are needed."
    )


def test_a_user_counts_once_on_a_side_however_many_requests_they_make(tmp_path, request_row, write_feedback):
    """u1 asks three times and takes what was shown twice, u2 asks once and does, u3 takes nothing at all."""
    asked = [("a", "u1", 0), ("b", "u1", 100), ("c", "u1", 200), ("d", "u2", 0), ("e", "u3", 0)]
    log = RequestLog(tmp_path)
    log.write(
        request_row(name, user=hashed(user), timestamp=START + at, engine_ms=10.0 + at) for name, user, at in asked
    )
    log.write([request_row("z", user=hashed("u2"), timestamp=START + 20, policy_version="other", engine_ms=900.0)])
    taken = [("u1", "m0", 10), ("u1", "m1", 110), ("u1", "m5", 210), ("u2", "m2", 10)]
    write_feedback(
        tmp_path,
        [
            (f"e{number}", user, item, "click", START + at, None, START + at)
            for number, (user, item, at) in enumerate(taken)
        ],
    )
    evidence = read_evidence(tmp_path, Window(START, START + 3_600), 60, KEY)
    (found,) = Arm.each(evidence, ["champion"], "hit_rate")
    assert sorted(found.values) == [pytest.approx(2 / 3), 1.0]
    assert found.engine_ms == 10.0  # Of 10, 10, 10, 110, 210.


LISTS = {"canary": ("m3", "m4", "m5"), "champion": ("m0", "m1", "m2")}


@pytest.fixture
def sides(tmp_path, request_row, write_feedback):
    """Values of canary and champion by `(user, policy, at)` asked and `(user, item, at)` taken."""

    def sides(asked, taken, metric="hit_rate"):
        RequestLog(tmp_path).write(
            request_row(
                f"r{number}",
                user=hashed(user),
                timestamp=START + at,
                policy_version=policy,
                items=LISTS[policy],
            )
            for number, (user, policy, at) in enumerate(asked)
        )
        write_feedback(
            tmp_path,
            [
                (f"e{number}", user, item, "click", START + at, None, START + at)
                for number, (user, item, at) in enumerate(taken)
            ],
        )
        evidence = read_evidence(tmp_path, Window(START, START + 3_600), 60, KEY).begun_at(START)
        return [sorted(arm.values) for arm in Arm.each(evidence, list(LISTS), metric)]

    return sides


def test_what_a_user_takes_counts_for_the_last_list_before_it_whoever_gave_it(sides):
    asked = [
        *(("u1", "champion", 0), ("u1", "canary", 20)),  # Takes what the canary showed: nothing against the champion.
        *(("u2", "canary", 0), ("u2", "champion", 20)),
        *(("u3", "champion", 0), ("u3", "canary", 20)),  # Takes something after each.
        *(("u4", "champion", 3_530), ("u4", "canary", 3_550)),  # The later one's time is not over.
    ]
    taken = [("u1", "m3", 30), ("u2", "m0", 30), ("u3", "m5", 10), ("u3", "m4", 30), ("u4", "m3", 3_560)]
    assert sides(asked, taken) == [[1.0, 1.0], [0.0, 1.0]]
    assert sides(asked, taken, "ndcg") == [[pytest.approx(1 / np.log2(3)), 1.0], [0.0, 1.0]]


def test_equally_good_policies_are_equal_whatever_their_shares(sides):
    """Of four lists the champion gives three. Users ask twice, in every order of the two, and take at once what the
    second list has, or something that neither has."""
    orders = list(product(["champion"] * 3 + ["canary"], repeat=2))
    asked = [
        (f"{place}-{item}", policy, at)
        for place, pair in enumerate(orders)
        for item in ("hit", "miss")
        for policy, at in zip(pair, (0, 20), strict=True)
    ]
    taken = [(f"{place}-hit", LISTS[second][0], 30) for place, (_, second) in enumerate(orders)]
    taken += [(f"{place}-miss", "m9", 30) for place in range(len(orders))]
    canary, champion = sides(asked, taken)
    assert (len(canary), len(champion)) == (8, 24)
    assert np.mean(canary) == np.mean(champion) == 0.5


def test_a_trial_that_cannot_be_won_is_refused():
    with pytest.raises(ValidationError, match="min_windows must not exceed max_windows, but 8 > 7"):
        CanarySettings(min_windows=8)
