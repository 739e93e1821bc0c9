import math

import pytest
import torch

from gream.decoding.device_trie import DeviceTrie
from gream.decoding.mask import masked_log_probs
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError

pytestmark = pytest.mark.unit


@pytest.fixture
def tree():
    # Root -> 1, 2; 1 -> 3; 2 -> 3, 4. Nodes: 0 | 1 (token 1), 2 (token 2) | 3, 4, 5.
    return DeviceTrie.of(TokenTrie.build([(1, 3), (2, 3), (2, 4)]), torch.device("cpu"))


def test_hand_worked_probabilities_and_entropies(tree):
    logits = torch.log(torch.tensor([[[1.0, 1.0, 3.0, 2.0, 1.0]] * 4]))
    tokens = torch.tensor([[2, 2, 3, 3]])
    nodes = torch.tensor([[-1, 0, 2, 1]])
    log_probs, entropies = masked_log_probs(logits, tokens, nodes, tree)
    # Free: 3 of 8. Root: 3 of 1 + 3. Node 2: 2 of 2 + 1. Node 1 has one child only.
    assert log_probs[0].exp().tolist() == pytest.approx([3 / 8, 3 / 4, 2 / 3, 1.0])
    expected = [
        -sum(p * math.log(p) for p in (1 / 8, 1 / 8, 3 / 8, 2 / 8, 1 / 8)),
        -sum(p * math.log(p) for p in (1 / 4, 3 / 4)),
        -sum(p * math.log(p) for p in (2 / 3, 1 / 3)),
        0.0,
    ]
    assert entropies[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_temperature_divides_the_logits(tree):
    logits = torch.log(torch.tensor([[[1.0, 1.0, 9.0, 1.0, 1.0]]]))
    log_probs, _ = masked_log_probs(logits, torch.tensor([[2]]), torch.tensor([[0]]), tree, temperature=2.0)
    assert log_probs.exp().item() == pytest.approx(3 / 4)  # sqrt(9) of sqrt(1) + sqrt(9)


def test_gradients_reach_the_legal_logits_only_and_are_finite(tree):
    logits = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    tokens, nodes = torch.tensor([[1, 2, 3]]), torch.tensor([[-1, 0, 1]])
    log_probs, entropies = masked_log_probs(logits, tokens, nodes, tree)
    (log_probs.sum() + 0.1 * entropies.sum()).backward()
    gradient = logits.grad[0]
    assert gradient.isfinite().all()
    assert (gradient[0] != 0).all()
    assert (gradient[1] != 0).tolist() == [False, True, True, False, False]
    assert (gradient[2] == 0).all()  # a single child: nothing to choose, nothing to learn
    p = logits[0, 1, 1:3].softmax(0).tolist()[1]
    assert log_probs[0, 1].item() == pytest.approx(math.log(p), abs=1e-6)


def test_all_free_and_all_constrained(tree):
    logits = torch.zeros(2, 1, 5)
    free, _ = masked_log_probs(logits, torch.tensor([[1], [2]]), torch.tensor([[-1], [-1]]), tree)
    assert free.exp().flatten().tolist() == pytest.approx([0.2, 0.2])
    held, _ = masked_log_probs(logits, torch.tensor([[1], [2]]), torch.tensor([[0], [0]]), tree)
    assert held.exp().flatten().tolist() == pytest.approx([0.5, 0.5])


def test_a_token_that_is_no_child_of_its_node_is_refused(tree):
    with pytest.raises(RequestError, match="token 4 at row 1, step 0 is not a child of trie node 1"):
        masked_log_probs(torch.zeros(2, 1, 5), torch.tensor([[3], [4]]), torch.tensor([[2], [1]]), tree)
