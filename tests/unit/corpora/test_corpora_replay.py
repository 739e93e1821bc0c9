"""Who is trained on in a retraining: all that is new, and a seeded share of what is old."""

import pytest
from corpora_cinema import FILMS, make_catalog

from gream.corpora.replay import Replay, event_weights, replay_split, training_split

pytestmark = pytest.mark.unit

# `make_catalog` gives the n-th event of a user the time n.
OLD = {f"old{n}": ["alien", "blade"] for n in range(10)}
NEW = {"new": ["alien", "blade", "thing"], "newer": ["annie", "crime", "heat", "fargo"]}
SHOP = make_catalog(FILMS, OLD | NEW)


def goes_on(until, share, held_out=False):
    return Replay(share=share, trained_until=until, held_out=held_out)


def test_fresh_users_are_all_there_with_their_whole_history():
    split = replay_split(SHOP, goes_on(1, 0.0), seed=0)
    assert split.train == NEW
    assert (split.validation, split.test) == ({}, {})


@pytest.mark.parametrize(("share", "users"), [(0.3, 3), (0.25, 2), (1.0, 10)])
def test_a_share_of_the_others_is_drawn(share, users):
    train = replay_split(SHOP, goes_on(1, share), seed=0).train
    assert set(NEW) < set(train)
    assert len(train) == users + len(NEW)
    assert list(train) == [user for user in SHOP.sequences() if user in train]


def test_equal_seeds_draw_the_same_and_others_do_not():
    first, again, other = (set(replay_split(SHOP, goes_on(1, 0.5), seed).train) for seed in (0, 0, 1))
    assert first == again != other


def test_where_nobody_knows_what_is_old_everything_is_new():
    assert replay_split(SHOP, goes_on(None, 0.0), seed=0).train == OLD | NEW


def test_what_the_champion_s_training_held_out_is_new_too():
    """Of three and more events it left the last two out; of two it had both."""
    quiet = {"three": ["alien", "blade", "thing"], "four": ["alien", "blade", "thing", "heat"]}
    shop = make_catalog(FILMS, OLD | quiet)
    assert replay_split(shop, goes_on(3, 0.0, held_out=True), seed=0).train == quiet
    assert replay_split(shop, goes_on(3, 0.0), seed=0).train == {}
    # By the second event both had two; of who had fewer than three then, nothing was held out.
    back = replay_split(shop, goes_on(1, 0.0, held_out=True), seed=0)
    assert back.train == quiet
    assert (back.validation, back.test) == ({}, {})


def test_only_who_came_back_validates_though_all_have_something_new():
    split = replay_split(make_catalog(FILMS, CROWD | LONG), goes_on(2, 0.0, held_out=True), seed=0)
    assert set(split.train) == {*(user for user in CROWD if user.startswith("user")), *LONG}
    assert len(split.validation) == 150
    assert set(split.validation.values()) == {"heat"}


def test_to_a_policy_that_begins_anew_everything_is_new():
    """Whole histories train, and few as the users are, some of them lend their last event."""
    split = replay_split(SHOP, Replay.anew(), seed=0)
    assert len(split.validation) == 6
    whole = {
        user: [*items, *([split.validation[user]] if user in split.validation else [])]
        for user, items in split.train.items()
    }
    assert whole == OLD | NEW
    assert split.test == {}


def test_a_training_leaves_the_last_two_out():
    split = training_split(SHOP, None, seed=0)
    assert (split.validation, split.test) == ({"new": "blade", "newer": "heat"}, {"new": "thing", "newer": "fargo"})
    assert training_split(SHOP, goes_on(1, 0.0), seed=0) == replay_split(SHOP, goes_on(1, 0.0), seed=0)


LONG = {f"long{n}": ["alien", "blade", "thing", "heat"] for n in range(300)}
CROWD = {f"user{n}": ["alien", "blade", "thing"] for n in range(400)} | {"one": ["alien"], "old": ["alien", "blade"]}


def test_half_of_those_who_came_back_validate_by_their_last_event():
    split = replay_split(make_catalog(FILMS, CROWD), goes_on(1, 1.0), seed=0)
    assert len(split.validation) == 200
    assert set(split.validation.values()) == {"thing"}
    assert all(user.startswith("user") for user in split.validation)
    assert all(split.train[user] == ["alien", "blade"] for user in split.validation)
    assert sum(items == ["alien", "blade", "thing"] for items in split.train.values()) == 200
    assert split.train["old"] == ["alien", "blade"]


def test_a_large_shop_lends_five_hundred_and_a_small_one_nothing():
    def validated(users):
        shop = make_catalog(FILMS, {f"user{n}": ["alien", "blade"] for n in range(users)})
        return len(replay_split(shop, goes_on(0, 0.0), seed=0).validation)

    assert [validated(users) for users in (199, 200, 999, 1_000, 1_200)] == [0, 100, 499, 500, 500]


def test_events_since_the_champions_training_count_more():
    weights = event_weights(SHOP, trained_until=1, fresh_weight=3.0)
    assert weights["newer"].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert weights["old3"].tolist() == [1.0, 1.0]
    assert event_weights(SHOP, None, 3.0)["newer"].tolist() == [1.0] * 4
