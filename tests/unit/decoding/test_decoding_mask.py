import math

import pytest
import torch

from gream.decoding.grounding import ChainTokens, Grounding
from gream.decoding.mask import PUT_IN, masked_log_probs
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError

pytestmark = pytest.mark.unit


@pytest.fixture
def grounding():
    # Root -> 1, 2; 1 -> 3; 2 -> 3, 4. Nodes: 0 | 1 (token 1), 2 (token 2) | 3, 4, 5.
    # The rows' histories: item 2 (tokens 2, 4), and nothing.
    return Grounding.of(
        TokenTrie.build([(1, 3), (2, 3), (2, 4)]), [[2], []], ChainTokens([1, 2, 3, 4], []), torch.device("cpu")
    )


def test_hand_worked_probabilities_and_entropies(grounding):
    logits = torch.log(torch.tensor([[[1.0, 1.0, 3.0, 2.0, 1.0]] * 5] * 2))
    # A chain's token 2 and then, inside the citation at node 2, token 4; an answer's tokens 2, 3; 3 behind node 1.
    # In the second row a token that nobody chose takes the place of the second one.
    tokens = torch.tensor([[2, 4, 2, 3, 3], [0, 1, 2, 3, 3]])
    nodes = torch.tensor([[-1, -3, 0, 2, 1], [-1, PUT_IN, 0, 2, 1]])
    log_probs, entropies = masked_log_probs(logits, tokens, nodes, grounding)
    # Chain: text (token 0) keeps 1 of 8, what index tokens have together is token 2's; item 2 goes on in one way.
    # Without a history only text is left. Answers: 3 of 1 + 3 at the root, 2 of 2 + 1 at node 2, one way at node 1.
    assert log_probs[0].exp().tolist() == pytest.approx([7 / 8, 1.0, 3 / 4, 2 / 3, 1.0])
    assert log_probs[1].exp().tolist() == pytest.approx([1.0, 1.0, 3 / 4, 2 / 3, 1.0])
    quarters = -sum(p * math.log(p) for p in (1 / 4, 3 / 4))
    thirds = -sum(p * math.log(p) for p in (2 / 3, 1 / 3))
    eighths = -sum(p * math.log(p) for p in (1 / 8, 7 / 8))
    assert entropies[0].tolist() == pytest.approx([eighths, 0.0, quarters, thirds, 0.0], abs=1e-6)


def test_temperature_divides_the_logits(grounding):
    logits = torch.log(torch.tensor([[[1.0, 1.0, 9.0, 1.0, 1.0]] * 2] * 2))
    tokens, nodes = torch.tensor([[2, 2], [2, 0]]), torch.tensor([[0, -1], [0, -1]])
    log_probs, _ = masked_log_probs(logits, tokens, nodes, grounding, temperature=2.0)
    # The answer: sqrt(9) of sqrt(1) + sqrt(9). The chain: all but sqrt(1) of sqrt(9) + 4 sqrt(1).
    assert log_probs.exp().flatten().tolist() == pytest.approx([3 / 4, 6 / 7, 3 / 4, 1.0])


def test_gradients_are_finite_and_reach_what_decides(grounding):
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    tokens, nodes = torch.tensor([[0, 2, 3], [0, 2, 3]]), torch.tensor([[-1, 0, 1], [-1, 0, 1]])
    log_probs, entropies = masked_log_probs(logits, tokens, nodes, grounding)
    (log_probs.sum() + 0.1 * entropies.sum()).backward()
    assert logits.grad.isfinite().all()
    chain, answer, only_child = logits.grad[0]
    assert (chain != 0).all()  # All index tokens together decide how likely text is.
    assert (answer != 0).tolist() == [False, True, True, False, False]
    assert (only_child == 0).all()  # nothing to choose, nothing to learn
    assert log_probs[0, 1].item() == pytest.approx(logits[0, 1, 1:3].log_softmax(0)[1].item(), abs=1e-6)


def test_a_token_that_is_no_child_of_its_node_is_refused(grounding):
    with pytest.raises(RequestError, match="token 4 at row 1, step 0 is not a child of trie node 1"):
        masked_log_probs(torch.zeros(2, 1, 5), torch.tensor([[3], [4]]), torch.tensor([[2], [1]]), grounding)
