import pytest
import torch

from gream.decoding.grounding import Grounding
from gream.decoding.trie import ROOT, TokenTrie

pytestmark = pytest.mark.unit

VOCABULARY = 12
INDEX_IDS = [5, 6, 7, 8, 9, 10]
ITEMS = [(5, 7), (5, 8), (6, 7, 9), (6, 7, 10)]
TEXT = [0, 1, 2, 3, 4, 11]


@pytest.fixture
def grounding():
    """Three users: one had items 0 and 2 (0 twice), one nothing, one items 2 and 3."""
    return Grounding.of(TokenTrie.build(ITEMS), [[0, 2, 0], [], [3, 2]], INDEX_IDS, torch.device("cpu"))


def legal(grounding, nodes):
    return [row.nonzero()[:, 0].tolist() for row in grounding.legal(torch.tensor(nodes), VOCABULARY)]


def test_a_citation_is_followed_token_by_token(grounding):
    start = [ROOT] * 3
    assert legal(grounding, start) == [sorted([*TEXT, 5, 6]), TEXT, sorted([*TEXT, 6])]
    one = grounding.advance(torch.tensor(start), torch.tensor([5, 11, 6])).tolist()
    # Item 0 goes on with 7 alone (item 1 is not in the history), text stays text, items 2 and 3 share their 7.
    assert legal(grounding, one) == [[7], TEXT, [7]]
    two = grounding.advance(torch.tensor(one), torch.tensor([7, 0, 7])).tolist()
    assert two[:2] == [ROOT, ROOT]
    assert legal(grounding, two)[2] == [9, 10]
    assert grounding.advance(torch.tensor(two), torch.tensor([0, 0, 10])).tolist() == start


def test_selected_rows_keep_their_histories(grounding):
    assert legal(grounding.select(torch.tensor([2, 2, 1])), [ROOT] * 3) == [[*sorted([*TEXT, 6])]] * 2 + [TEXT]


def test_nobody_has_a_history():
    grounding = Grounding.of(TokenTrie.build(ITEMS), [[], []], INDEX_IDS, torch.device("cpu"))
    assert legal(grounding, [ROOT, ROOT]) == [TEXT, TEXT]
    assert grounding.advance(torch.tensor([ROOT, ROOT]), torch.tensor([3, 4])).tolist() == [ROOT, ROOT]
