"""A ratio counts only where both sides did the same: `ratios` of the benchmarks in `make bench` refuse what differs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import beam_search, clustering
from benchmarks.ratio import NoComparisonError
from gream.decoding.trie import TokenTrie

pytestmark = pytest.mark.unit

N = 48
"""Points, of which 4 clusters have 11 to 13."""


class Counted(beam_search.Generate):
    """The peer, and how often it is asked."""

    calls = 0

    def __call__(self, prompts, beams):
        self.calls += 1
        return super().__call__(prompts, beams)


def test_ours_and_the_peer_have_as_many_rounds_after_one_untimed_call_and_find_the_same():
    random, model = np.random.default_rng(0), beam_search.untrained_qwen3(beam_search.SHAPES["tiny"])
    rows, prompts = beam_search.catalogue(200, random), beam_search.some_prompts(2, 0, random)
    generate, trie = Counted(model, rows), TokenTrie.build(rows.tolist())
    compared = beam_search.Compared.of(model, prompts, trie, generate, beams=10, rounds=3)
    assert [len(seconds) for seconds in (compared.ours, compared.generate, compared.bare)] == [3, 3, 3]
    assert generate.calls == 4
    assert compared.same == 1.0


def test_a_decoder_that_finds_other_items_has_no_ratio(monkeypatch):
    monkeypatch.setattr(
        beam_search, "beam_search", lambda model, ids, *_: SimpleNamespace(items=np.zeros((len(ids), 10), dtype=int))
    )
    with pytest.raises(NoComparisonError, match=r"only \d+\.\d% of generate's first 10 items: 10 beams, batch 1\."):
        beam_search.ratios(rounds=1)


@pytest.fixture
def small_clustering(monkeypatch):
    """The benchmark on points in four far corners, twelve in each."""
    corners = np.eye(4, 8, dtype=np.float32)[np.arange(N) % 4]
    points = 10 * corners + np.random.default_rng(0).normal(0, 0.1, corners.shape).astype(np.float32)
    monkeypatch.setattr(clustering, "CODES", 4)
    monkeypatch.setattr(clustering, "LEVELS", 2)
    monkeypatch.setattr(clustering, "simulated_vectors", lambda items, seed: (points,))


def clustered(labels):
    return lambda points, *_: (labels, torch.stack([points[labels == code].mean(0) for code in range(4)]))


@pytest.mark.usefixtures("small_clustering")
def test_clusters_of_the_peers_error_within_the_bounds_have_a_ratio(monkeypatch):
    monkeypatch.setattr(clustering, "balanced_kmeans", clustered(torch.arange(N) % 4))
    assert len(clustering.ratios(rounds=1)) == 2


@pytest.mark.usefixtures("small_clustering")
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.arange(N) // 12, r"balanced k-means has \d+\.\d+ times the error of k-means-constrained"),
        (torch.arange(N).clamp(max=3), "gream has clusters of 1 to 45, not of 11 to 13"),
    ],
)
def test_clusters_of_a_larger_error_or_of_other_sizes_have_none(monkeypatch, labels, said):
    monkeypatch.setattr(clustering, "balanced_kmeans", clustered(labels))
    with pytest.raises(NoComparisonError, match=said):
        clustering.ratios(rounds=1)


@pytest.mark.usefixtures("small_clustering")
def test_a_whole_index_out_of_balance_has_none(monkeypatch):
    monkeypatch.setattr(clustering, "balanced_kmeans", clustered(torch.arange(N) % 4))
    index = SimpleNamespace(codes=np.stack([np.arange(N) % 4, np.arange(N).clip(max=3)], axis=1))
    monkeypatch.setattr(clustering, "BalancedResidualKMeans", lambda *_: SimpleNamespace(fit=lambda X: index))
    with pytest.raises(NoComparisonError, match="balanced RQ-KMeans has clusters of 1 to 45, not of 11 to 13"):
        clustering.ratios(rounds=1)
