import pytest
import torch

from gream.decoding.draw import SHORT_LIST, draw

pytestmark = pytest.mark.unit

PROBABILITIES = torch.tensor([0.1, 0.0, 0.4, 0.3, 0.2])


def drawn(uniforms, top_p=1.0):
    numbers = torch.tensor(uniforms)
    return draw(PROBABILITIES.expand(len(numbers), -1), numbers, top_p).tolist()


def test_inversion_of_the_running_sum():
    # Running sums 0.1, 0.1, 0.5, 0.8, 1.0.
    assert drawn([0.0, 0.09, 0.11, 0.49, 0.51, 0.79, 0.81, 0.999]) == [0, 0, 2, 2, 3, 3, 4, 4]


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    # Best first: 0.4 (2), 0.3 (3), 0.2 (4), 0.1 (0). Half the mass needs two of them: 4/7 and 3/7.
    assert drawn([0.0, 0.57, 0.58, 0.999], top_p=0.5) == [2, 2, 3, 3]
    assert drawn([0.0, 0.999], top_p=0.4) == [2, 2]
    assert drawn([0.999], top_p=0.95) == [0]


def test_the_largest_uniform_number_never_draws_the_impossible():
    largest = 1.0 - 2.0**-24
    weights = torch.tensor([[0.3, 0.7, 0.0, 0.0]])
    assert draw(weights, torch.tensor([largest])).tolist() == [1]
    assert draw(weights, torch.tensor([largest]), top_p=0.99).tolist() == [0]  # the last one, best first


def test_a_running_sum_that_rises_where_nothing_is_added_draws_nothing_impossible(monkeypatch):
    """As CUDA's may, by rounding."""
    exact = torch.Tensor.cumsum

    def rounded(weights, dim):
        sums = exact(weights, dim)
        sums[..., 1] -= 1e-3
        return sums

    monkeypatch.setattr(torch.Tensor, "cumsum", rounded)
    weights = torch.tensor([[0.3, 0.3, 0.0, 0.4]])
    assert draw(weights, torch.tensor([0.5995])).tolist() == [3]  # Place 2 has nothing: the likeliest instead.
    assert draw(weights, torch.tensor([0.2])).tolist() == [0]


def test_a_nucleus_longer_than_the_short_list():
    count = 4 * SHORT_LIST
    flat = torch.full((1, count), 1.0 / count)
    places = [draw(flat, torch.tensor([u]), top_p=0.75).item() for u in (0.0, 0.5, 0.999)]
    assert places == [0, count * 3 // 8, count * 3 // 4 - 1]
