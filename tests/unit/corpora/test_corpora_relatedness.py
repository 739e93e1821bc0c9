import numpy as np
import pytest

from gream.corpora.relatedness import Relatedness

pytestmark = pytest.mark.unit

SEQUENCES = {"one": ["a", "b", "t"], "two": ["b", "t"], "three": ["a", "c", "c"]}


def test_counts_of_others_divided_by_the_root_of_both_totals():
    # Pairs: a-b 1, a-t 1/2, b-t 1 + 1, a-c 1 + 1/2, c-c 1 (seen from both sides: 2).
    # Totals: a 3, b 3, t 2.5. The step's own pairs, a-t 1/2 and b-t 1, do not count.
    scores = Relatedness(SEQUENCES).scores([["a", "b"]], ["t"])
    assert len(scores) == 1
    assert scores[0] == pytest.approx([0.0, 1.0 / np.sqrt(3 * 2.5)])


def test_histories_keep_their_own_lengths():
    scores = Relatedness(SEQUENCES).scores([["b"], ["a", "c"]], ["t", "c"])
    assert scores[0] == pytest.approx([1.0 / np.sqrt(3 * 2.5)])
    assert scores[1] == pytest.approx([(1.5 - 0.5) / np.sqrt(3 * 3.5), (2 - 2) / 3.5])
    assert Relatedness(SEQUENCES).scores([], []) == []


def test_an_item_that_was_taken_again_is_not_near_itself_by_that():
    (scores,) = Relatedness({"u": ["a", "b", "a", "c"], "v": ["c", "d"]}).scores([["a", "b"]], ["a"])
    assert scores[0] == 0.0


def test_items_more_than_five_steps_apart_are_not_together():
    far = Relatedness({"u": list("abcdefg"), "v": list("abcdefg")})
    scores = far.scores([list("abcdef")], ["g"])[0]
    assert scores[0] == 0.0
    assert (scores[1:] > 0).all()


@pytest.mark.parametrize("history", ["xyx", "yx", "xxyxx", "xxxyz"])
def test_what_the_step_alone_puts_together_is_unrelated_however_often_an_item_was_taken(history):
    (scores,) = Relatedness({"u": [*history, "t"], "v": ["w", "t"]}).scores([list(history)], ["t"])
    assert scores.tolist() == [0.0] * len(history)


def test_a_repeated_item_keeps_what_others_say_of_it():
    # Pairs: x-y 1 + 1, x-x 1/2 (2 x 1/2), x-t 1/3 + 1 and of v 1, y-t 1/2. Totals: x 2 + 1 + 7/3, t 7/3 + 1/2.
    sequences = {"u": ["x", "y", "x", "t"], "v": ["x", "t"]}
    (scores,) = Relatedness(sequences).scores([["x", "y", "x"]], ["t"])
    supported = 1.0 / np.sqrt((2 + 1 + 7 / 3) * (7 / 3 + 1 / 2))
    assert scores == pytest.approx([supported, 0.0, supported])
