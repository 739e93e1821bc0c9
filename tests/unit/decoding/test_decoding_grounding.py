import pytest
import torch

from gream.decoding.grounding import ChainTokens, Grounding
from gream.decoding.trie import ROOT, TokenTrie
from gream.errors import RequestError

pytestmark = pytest.mark.unit

VOCABULARY = 12
INDEX_IDS = [5, 6, 7, 8, 9, 10]
ITEMS = [(5, 7), (5, 8), (6, 7, 9), (6, 7, 10)]
TEXT = [0, 1, 2, 3, 4, 11]


@pytest.fixture
def grounding():
    """Three users: one had items 0 and 2 (0 twice), one nothing, one items 2 and 3."""
    return Grounding.of(
        TokenTrie.build(ITEMS), [[0, 2, 0], [], [3, 2]], ChainTokens(INDEX_IDS, []), torch.device("cpu")
    )


def legal(grounding, nodes):
    log_probs, _ = grounding.log_probs(torch.zeros(len(nodes), VOCABULARY), torch.tensor(nodes), 1.0)
    return [row.isfinite().nonzero()[:, 0].tolist() for row in log_probs]


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


def test_states_of_whole_chains_are_those_that_sampling_went_through(grounding):
    """Item 0 begins with 5, items 2 and 3 with 6 7; the root is 0, and nodes are numbered breadth-first from 1."""
    states = grounding.states([[11, 5, 7, 0], [3], [6, 7, 10, 6, 7]])
    assert states == [[0, 0, 1, 0], [0], [0, 2, 5, 0, 2]]
    assert grounding.states([[], [], []]) == [[], [], []]


@pytest.mark.parametrize(("row", "chain"), [(1, [6]), (2, [5]), (2, [0, 6, 0]), (2, [6, 7, 8])])
def test_states_of_a_chain_that_nobody_grounded(grounding, row, chain):
    """The second user had nothing, the third one items 2 and 3."""
    with pytest.raises(RequestError, match="none that its grounding allows"):
        grounding.states([chain if row == place else [0] for place in range(3)])


def test_selected_rows_keep_their_histories(grounding):
    assert legal(grounding.select(torch.tensor([2, 2, 1])), [ROOT] * 3) == [[*sorted([*TEXT, 6])]] * 2 + [TEXT]


def test_nobody_has_a_history():
    grounding = Grounding.of(TokenTrie.build(ITEMS), [[], []], ChainTokens(INDEX_IDS, []), torch.device("cpu"))
    assert legal(grounding, [ROOT, ROOT]) == [TEXT, TEXT]
    assert grounding.advance(torch.tensor([ROOT, ROOT]), torch.tensor([3, 4])).tolist() == [ROOT, ROOT]


def test_whether_to_cite_is_the_models_choice(grounding):
    """Weights 1 for each text token (6), 3 for 5, 1 for 6, 2 for the other four index tokens together: 12 in all."""
    weights = torch.tensor([1.0] * 5 + [3.0, 1.0, 0.5, 0.5, 0.5, 0.5] + [1.0])
    log_probs, unaided = grounding.log_probs(weights.log().expand(3, -1), torch.tensor([ROOT] * 3), 1.0)
    probabilities = log_probs.exp()
    # Row 0 may cite by 5 or 6: the 6 of 12 for index tokens are divided 3 to 1. Text stays at 1 of 12 each.
    assert probabilities[0, [5, 6]].tolist() == pytest.approx([6 / 12 * 3 / 4, 6 / 12 * 1 / 4])
    assert probabilities[0, TEXT].tolist() == pytest.approx([1 / 12] * 6)
    # Row 1 cannot cite: text alone. Row 2 can cite by 6 only.
    assert probabilities[1, TEXT].tolist() == pytest.approx([1 / 6] * 6)
    assert probabilities[2, 6].item() == pytest.approx(6 / 12)
    assert probabilities.sum(dim=1).tolist() == pytest.approx([1.0] * 3)
    # Unaided, a token is legal with the weight of text and of what may be cited.
    assert unaided.exp().tolist() == pytest.approx([10 / 12, 6 / 12, 7 / 12])


def test_inside_a_citation_the_ways_on_share_everything(grounding):
    weights = torch.ones(3, VOCABULARY)
    weights[2, 9] = 3.0
    node = int(grounding.paths[2, 0, 2])  # behind 6-7, where items 2 and 3 part
    log_probs, unaided = grounding.log_probs(weights.log(), torch.tensor([node] * 3), 1.0)
    assert log_probs[2, [9, 10]].exp().tolist() == pytest.approx([3 / 4, 1 / 4])
    assert unaided[2].exp().item() == pytest.approx(4 / 14)


def test_marks_are_never_spoken():
    tokens = ChainTokens(INDEX_IDS, [0, 11])
    grounding = Grounding.of(TokenTrie.build(ITEMS), [[0], []], tokens, torch.device("cpu"))
    logits = torch.zeros(2, VOCABULARY)
    logits[:, 0] = 50.0  # What the model would say above all.
    log_probs, unaided = grounding.log_probs(logits, torch.tensor([ROOT, ROOT]), 1.0)
    assert log_probs[0].isfinite().nonzero()[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert log_probs.exp().sum(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert unaided[0].exp().item() == pytest.approx(5 / 10)
