import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from gream.errors import ConfigError, DataError
from gream.indexing import BalancedResidualKMeans
from gream.indexing.balanced_kmeans import (
    PATIENCE,
    _cheapest_with_room,
    balanced_assignment,
    balanced_kmeans,
    size_bounds,
)
from gream.indexing.residual_kmeans import nearest_codes, shrink

pytestmark = pytest.mark.unit


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@settings(max_examples=40)
@given(n=st.integers(2, 120), k=st.integers(2, 20), kind=st.sampled_from(["spread", "one blob", "equal"]))
def test_sizes_are_always_within_the_bounds(n, k, kind):
    k = min(k, n)
    scale = {"spread": 1.0, "one blob": 1e-4, "equal": 0.0}[kind]
    points = torch.from_numpy(normal(n, 3, seed=n) * scale + 1.0)

    labels, _ = balanced_kmeans(points, k, 5, torch.Generator().manual_seed(0))

    lower, upper = size_bounds(n, k)
    sizes = np.bincount(labels.numpy(), minlength=k)
    assert sizes.sum() == n
    assert lower <= sizes.min()
    assert sizes.max() <= upper


def test_points_that_are_alike_are_dealt_out_in_a_few_rounds(monkeypatch):
    points = torch.from_numpy(normal(1_000, 8))
    points[:500] = 0.0  # As those of items without a text.
    rounds = []

    def counted(cost, movable, source, room):
        rounds.append(len(movable))
        return _cheapest_with_room(cost, movable, source, room)

    monkeypatch.setattr("gream.indexing.balanced_kmeans._cheapest_with_room", counted)
    labels, _ = balanced_kmeans(points, 100, 1, torch.Generator().manual_seed(0))
    sizes = torch.bincount(labels, minlength=100)
    assert (sizes.min() >= 9, sizes.max() <= 11) == (True, True)
    assert len(rounds) <= 2 * PATIENCE  # 43 of them without: each would fill one cluster.


def test_assignment_moves_the_points_with_least_regret():
    # Four points prefer cluster 0; bounds for n = 4, k = 2 are 1..3, so exactly one must leave: the one that loses 1.
    cost = torch.tensor([[0.0, 5.0], [0.0, 9.0], [0.0, 1.0], [0.0, 7.0]])

    labels, _ = balanced_assignment(cost, torch.zeros(2))

    assert labels.tolist() == [0, 0, 1, 0]


def test_assignment_costs_little_more_than_the_optimum():
    n, k = 240, 12
    points, centroids = normal(n, 4), normal(k, 4, seed=1) * 0.3
    cost = ((points[:, None] - centroids) ** 2).sum(axis=2)
    _, upper = size_bounds(n, k)

    labels, _ = balanced_assignment(torch.from_numpy(cost), torch.zeros(k))

    # Every cluster offered `upper` times: the optimum under the upper bound alone, a lower limit of the balanced one.
    seats = np.repeat(cost, upper, axis=1)
    optimum = seats[linear_sum_assignment(seats)].sum()
    nearest = cost.min(axis=1).sum()
    reached = cost[np.arange(n), labels.numpy()].sum()
    assert nearest < optimum
    assert reached <= 1.03 * optimum


def test_centroids_are_the_means_of_their_points():
    points = torch.from_numpy(normal(50, 3))
    labels, centroids = balanced_kmeans(points, 5, 4, torch.Generator().manual_seed(3))
    for cluster in range(5):
        torch.testing.assert_close(centroids[cluster], points[labels == cluster].mean(dim=0))


def test_two_levels_on_a_grid_are_exact():
    # Four far-away corners, each with four small offsets: level 1 finds the corners, level 2 the offsets.
    corners = np.array([[0, 0], [100, 0], [0, 100], [100, 100]], dtype=np.float32)
    offsets = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], dtype=np.float32)
    X = np.repeat((corners[:, None] + offsets).reshape(-1, 2), 4, axis=0)
    models = [BalancedResidualKMeans(levels=2, codebook_size=4, seed=seed).fit(X) for seed in range(8)]
    best = min(models, key=lambda model: model.residual_share)

    assert best.residual_share == pytest.approx(0.0, abs=1e-9)
    assert len(np.unique(best.codes, axis=0)) == 16
    rebuilt = best.codebooks[0][best.codes[:, 0]] + best.codebooks[1][best.codes[:, 1]]
    np.testing.assert_allclose(rebuilt, X, atol=1e-4)


def test_equal_seeds_give_equal_codes_and_others_do_not():
    X = normal(200, 8)
    first, again, other = (BalancedResidualKMeans(3, 16, seed).fit(X) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.codes, again.codes)
    assert (first.codes != other.codes).any()
    assert first.codes.dtype == np.int32


@pytest.mark.parametrize("module", ["residual_kmeans", "balanced_kmeans", "exchange"])
def test_clustering_in_chunks_changes_nothing(monkeypatch, module):
    X = normal(300, 8)
    X[:150] = 0.0  # Alike, so that some are dealt out too.
    whole = BalancedResidualKMeans(2, 30).fit(X)
    codes = whole.transform(X)

    monkeypatch.setattr(f"gream.indexing.{module}.CHUNK_ROWS", 40)
    chunked = BalancedResidualKMeans(2, 30).fit(X)

    np.testing.assert_array_equal(chunked.codes, whole.codes)
    np.testing.assert_array_equal(chunked.transform(X), codes)
    assert chunked.residual_share == pytest.approx(whole.residual_share)


def test_each_level_lowers_the_error_and_uses_every_code():
    X = normal(256, 8)
    shares = [BalancedResidualKMeans(levels, 16).fit(X).residual_share for levels in (1, 2, 3)]
    assert 1 > shares[0] > shares[1] > shares[2] > 0
    sizes = BalancedResidualKMeans(2, (16, 8)).fit(X).codes
    assert np.bincount(sizes[:, 0]).min() >= 15
    assert np.bincount(sizes[:, 1]).max() <= 33


def test_transform_takes_the_nearest_centroid_of_frozen_codebooks():
    model = BalancedResidualKMeans(2, 8).fit(normal(100, 4))
    before = [book.copy() for book in model.codebooks]
    new = normal(7, 4, seed=9)

    codes = model.transform(new)

    for vector, (first, second) in zip(new, codes, strict=True):
        assert first == ((vector - before[0]) ** 2).sum(axis=1).argmin()
        assert second == ((vector - before[0][first] - before[1]) ** 2).sum(axis=1).argmin()
    for book, was in zip(model.codebooks, before, strict=True):
        np.testing.assert_array_equal(book, was)


def test_nearest_codes_by_hand():
    codebooks = [np.array([[0.0], [10.0]], dtype=np.float32), np.array([[-1.0], [2.0]], dtype=np.float32)]
    assert nearest_codes(np.array([[9.5], [1.5], [12.5]]), codebooks).tolist() == [[1, 0], [0, 1], [1, 1]]


def test_wrong_input_is_named():
    with pytest.raises(ConfigError, match="codebook_size = 256 is more than the 10 vectors"):
        BalancedResidualKMeans().fit(normal(10, 2))
    with pytest.raises(DataError, match="an index needs at least two"):
        BalancedResidualKMeans(2, shrink(1, 2, 256)).fit(normal(1, 2))
    spoiled = normal(10, 2)
    spoiled[3, 1] = np.nan
    with pytest.raises(DataError, match="vector 3 holds NaN"):
        BalancedResidualKMeans(2, 4).fit(spoiled)
    with pytest.raises(DataError, match="non-empty matrix"):
        BalancedResidualKMeans(2, 4).fit(np.zeros(5))
    with pytest.raises(ConfigError, match="3 sizes, but there are 2 levels"):
        BalancedResidualKMeans(2, (4, 4, 4))
    with pytest.raises(ConfigError, match="call fit before transform"):
        BalancedResidualKMeans(2, 4).transform(normal(2, 2))
    with pytest.raises(DataError, match="3 columns, but the codebooks 2"):
        BalancedResidualKMeans(2, 4).fit(normal(10, 2)).transform(normal(1, 3))


@pytest.mark.parametrize(
    ("n_items", "levels", "asked", "size"),
    [
        (1_349, 3, 128, 128),  # 10 items a code
        (1_000, 3, 128, 64),  # 64 is the largest power of two with 8 items a code
        (12_101, 4, 256, 256),
        (1_349, 2, 1_024, 256),  # 256 ** 2 >= 48 * 1,349 paths
        (12_101, 2, 1_024, 1_024),
        (100, 3, 256, 32),  # 32 ** 3 >= 4,800 paths
        (5, 3, 256, 2),  # never more than half the items
        (100_000, 4, 300, 300),  # the asked size need not be a power of two
    ],
)
def test_shrink(n_items, levels, asked, size):
    assert shrink(n_items, levels, asked) == size
