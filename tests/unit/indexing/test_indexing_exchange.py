"""Exchange: chains by hand, sizes kept, close to the optimum, never dearer, the same each time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from gream.indexing.balanced_kmeans import balanced_assignment, size_bounds
from gream.indexing.exchange import exchange

pytestmark = pytest.mark.unit


def spent(cost, labels):
    return float(cost.double().gather(1, labels[:, None]).sum())


def test_two_points_swap_where_no_size_may_change():
    cost = torch.tensor([[5.0, 0.0], [1.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    assert exchange(cost, torch.tensor([0, 0, 1, 1]), 2, 2).tolist() == [1, 0, 0, 1]


def test_three_clusters_pass_a_point_on_where_no_two_would_swap():
    # Each point wants the next cluster; a swap would send one to the cluster it likes least.
    cost = torch.tensor([[1.0, 0.0, 9.0], [9.0, 1.0, 0.0], [0.0, 9.0, 1.0]])
    assert exchange(cost, torch.tensor([0, 1, 2]), 1, 1).tolist() == [1, 2, 0]


def test_a_chain_ends_where_there_is_room():
    # Cluster 1 is full and 2 is empty, but point 0 would pay 9 there: it goes to 1, whose first point goes on to 2.
    cost = torch.tensor([[5.0, 0.0, 9.0], [5.0, 9.0, 9.0], [9.0, 1.0, 2.0], [9.0, 1.0, 9.0]])
    assert exchange(cost, torch.tensor([0, 0, 1, 1]), 0, 2).tolist() == [1, 0, 2, 1]


@settings(max_examples=40)
@given(n=st.integers(2, 120), k=st.integers(2, 20), seed=st.integers(0, 5))
def test_sizes_stay_within_the_bounds_and_cost_does_not_rise(n, k, seed):
    k = min(k, n)
    cost = torch.from_numpy(np.random.default_rng(seed).random((n, k), dtype=np.float32))
    labels = torch.arange(n) % k
    lower, upper = size_bounds(n, k)

    better = exchange(cost, labels, lower, upper)

    sizes = torch.bincount(better, minlength=k)
    assert lower <= sizes.min()
    assert sizes.max() <= upper
    assert spent(cost, better) <= spent(cost, labels) + 1e-6
    assert torch.equal(better, exchange(cost, labels, lower, upper))


def test_it_comes_close_to_the_optimum():
    n, k = 240, 12
    random = np.random.default_rng(0)
    points, centroids = random.normal(size=(n, 4)), random.normal(size=(k, 4)) * 0.3
    cost = torch.from_numpy(((points[:, None] - centroids) ** 2).sum(axis=2)).float()
    lower, upper = size_bounds(n, k)
    labels, _ = balanced_assignment(cost, torch.zeros(k))

    # Every cluster offered `upper` times: the optimum under the upper bound alone, a lower limit of the balanced one.
    seats = np.repeat(cost.numpy(), upper, axis=1)
    optimum = seats[linear_sum_assignment(seats)].sum()

    reached = spent(cost, exchange(cost, labels, lower, upper))
    assert reached < spent(cost, labels)
    assert reached <= 1.003 * optimum
