import pytest
import torch

from gream.policy.dropout import dropout

pytestmark = pytest.mark.unit


def test_entries_are_dropped_at_the_rate_and_the_mean_stays():
    torch.manual_seed(0)
    values = torch.ones(1_000_003, dtype=torch.float64)
    made = dropout(values, 0.2)
    assert (made == 0).double().mean().item() == pytest.approx(0.2, abs=2e-3)
    assert made[made != 0].unique().tolist() == [pytest.approx(1.25)]
    # Which of four entries a random number decides over makes no difference, and neighbours know nothing of each other.
    quarters = (made[:1_000_000] == 0).view(-1, 4).double()
    assert quarters.mean(dim=0).tolist() == pytest.approx([0.2] * 4, abs=4e-3)
    assert quarters.T.corrcoef().triu(diagonal=1).abs().max().item() < 0.01


def test_the_seed_decides_and_the_gradient_goes_where_the_value_went():
    values = torch.full((3, 5, 7), 2.0, requires_grad=True)
    torch.manual_seed(1)
    made = dropout(values, 0.5)
    torch.manual_seed(1)
    assert torch.equal(dropout(values, 0.5), made)
    made.sum().backward()
    assert torch.equal(values.grad, made.detach() / 2)


def test_half_precision_stays_half_precision():
    assert dropout(torch.ones(9, dtype=torch.bfloat16), 0.5).dtype is torch.bfloat16
