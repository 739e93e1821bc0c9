from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gream.corpora.cuts import sample_steps, windows
from gream.corpora.rl import rl_prompts

pytestmark = pytest.mark.unit


def test_windows_are_counted_from_the_end():
    assert windows(7, 3, 0) == [(0, 1), (1, 4), (4, 7)]
    assert windows(7, 3, 2) == [(0, 2), (2, 5), (5, 7)]
    assert windows(6, 3, 0) == [(0, 3), (3, 6)]
    assert windows(2, 3, 0) == [(0, 2)]
    assert windows(2, 3, 2) == [(0, 2)]


@given(length=st.integers(1, 200), size=st.integers(1, 60), data=st.data())
def test_windows_hold_every_event_once(length, size, data):
    offset = data.draw(st.integers(0, size - 1))
    cut = windows(length, size, offset)
    assert [event for start, stop in cut for event in range(start, stop)] == list(range(length))
    assert all(0 < stop - start <= size for start, stop in cut)


SEQUENCES = {"long": list("abcdefgh"), "short": list("abc"), "lone": ["a"]}


def test_steps_go_round_the_users():
    steps = sample_steps(SEQUENCES, 100, 1, np.random.default_rng(0))
    assert Counter(user for user, _ in steps) == {"long": 7, "short": 2}
    assert len(set(steps)) == 9
    assert {position for user, position in steps if user == "short"} == {1, 2}
    assert [{user for user, _ in steps[start : start + 2]} for start in (0, 2)] == [{"long", "short"}] * 2


def test_steps_differ_with_the_seed_and_repeat_under_it():
    draws = [tuple(sample_steps(SEQUENCES, 4, 1, np.random.default_rng(seed))) for seed in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len(set(draws)) > 1


def test_no_step_where_no_history_is_long_enough():
    assert sample_steps(SEQUENCES, 5, 8, np.random.default_rng(0)) == []
    assert sample_steps(SEQUENCES, 0, 1, np.random.default_rng(0)) == []


def test_rl_prompts_have_four_items_before_their_target():
    prompts = rl_prompts(SEQUENCES, 100, np.random.default_rng(0))
    assert sorted(prompt.target for prompt in prompts) == list("efgh")
    for prompt in prompts:
        assert prompt.user_id == "long"
        assert prompt.history == SEQUENCES["long"][: SEQUENCES["long"].index(prompt.target)]
    assert len(rl_prompts(SEQUENCES, 3, np.random.default_rng(0))) == 3
