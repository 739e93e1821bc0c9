"""Who is trained on in a retraining: all that is new, and a seeded share of what is old."""

import pytest
from corpora_cinema import FILMS, make_catalog

from gream.corpora.replay import replay_split

pytestmark = pytest.mark.unit

# `make_catalog` gives the n-th event of a user the time n.
OLD = {f"old{n}": ["alien", "blade"] for n in range(10)}
NEW = {"new": ["alien", "blade", "thing"], "newer": ["annie", "crime", "heat", "fargo"]}
SHOP = make_catalog(FILMS, OLD | NEW)


def test_fresh_users_are_all_there_with_their_whole_history():
    split = replay_split(SHOP, trained_until=1, replay_share=0.0, seed=0)
    assert split.train == NEW
    assert (split.validation, split.test) == ({}, {})


@pytest.mark.parametrize(("share", "users"), [(0.3, 3), (0.25, 2), (1.0, 10)])
def test_a_share_of_the_others_is_drawn(share, users):
    train = replay_split(SHOP, 1, share, seed=0).train
    assert set(NEW) < set(train)
    assert len(train) == users + len(NEW)
    assert list(train) == [user for user in SHOP.sequences() if user in train]


def test_equal_seeds_draw_the_same_and_others_do_not():
    first, again, other = (set(replay_split(SHOP, 1, 0.5, seed).train) for seed in (0, 0, 1))
    assert first == again != other


def test_where_nobody_knows_what_is_old_everything_is_new():
    assert replay_split(SHOP, None, 0.0, seed=0).train == OLD | NEW
