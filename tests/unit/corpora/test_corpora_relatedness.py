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
