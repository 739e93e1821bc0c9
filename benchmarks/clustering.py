"""Balanced RQ-KMeans beside `k-means-constrained`, which GREAM's code uses, and faiss' residual quantizer.

    python -m benchmarks.clustering [--vectors VECTORS.npy] [--iterations 8] [--levels-of-both]

12,101 vectors of 384 dimensions unless a file is given: a mixture of 2,000 unequal clumps, as item texts form them.
Both balanced ones start from the same points, keep sizes within the same bounds, and stop after the same number of
iterations (fewer where no label changes, or the peer's centres stay); each then goes over its assignment once more, and
the errors of what they give back are compared. `--levels-of-both` also makes all levels of an index with the peer, each
from the start that gream draws. faiss balances nothing: it says what balance costs in error. The floor is one matrix
product of vectors and centroids, which every iteration needs.
"""

from pathlib import Path

import click
import faiss
import numpy as np
import torch
from k_means_constrained import KMeansConstrained
from numpy.typing import NDArray

from benchmarks.command import Benchmark
from benchmarks.ratio import NoComparisonError, Ratio
from benchmarks.simulated_vectors import Vectors, simulated_vectors
from benchmarks.timing import best_of, rounds_of, timed
from gream.indexing.balanced_kmeans import balanced_kmeans, size_bounds
from gream.indexing.residual_kmeans import BalancedResidualKMeans

LEVELS, CODES = 4, 256
ITEMS = 12_101
WORSE = 1.02
"""Times the peer's error on one level that ours may have: other clumps and other starts gave .997 to 1.009."""


def squared_error(vectors: Vectors, labels: NDArray[np.int64], centroids: Vectors) -> float:
    """Mean squared distance of the vectors to the centroids of their clusters."""
    return float(((vectors - centroids[labels]) ** 2).sum() / len(vectors))


def colliding(codes: NDArray[np.integer]) -> float:
    """Share of the items that share all codes with another."""
    _, group, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return float((sizes[group] > 1).mean())


def peer_level(X: Vectors, iterations: int, generator: torch.Generator) -> KMeansConstrained:
    """One level of k-means-constrained, from the start and within the bounds that gream would have."""
    low, high = size_bounds(len(X), CODES)
    start = X[torch.randperm(len(X), generator=generator)[:CODES].numpy()]
    bounds = {"size_min": low, "size_max": high}
    return KMeansConstrained(CODES, **bounds, init=start, n_init=1, max_iter=iterations, tol=0, random_state=0).fit(X)


def peer_index(X: Vectors, iterations: int, seed: int) -> tuple[NDArray[np.int64], float]:
    """Codes `(n, LEVELS)` of k-means-constrained on every level, and the share of the variance that they leave."""
    generator, residual, codes = torch.Generator().manual_seed(seed), X.copy(), []
    for _ in range(LEVELS):
        level = peer_level(residual, iterations, generator)
        residual -= level.cluster_centers_.astype(np.float32)[level.labels_]
        codes.append(level.labels_.astype(np.int64))
    return np.stack(codes, axis=1), float((residual**2).sum() / len(X)) / variance_of(X)


def checked_errors(X: Vectors, ours: tuple[torch.Tensor, torch.Tensor], peer: KMeansConstrained) -> tuple[float, float]:
    """The mean squared errors of both on one level.

    Raises:
        NoComparisonError: a cluster of either lies outside the bounds, or our error is too far above the peer's.
    """
    labels, centroids = ours[0].numpy(), ours[1].numpy()
    for name, found in (("gream", labels), ("k-means-constrained", peer.labels_)):
        check_sizes(name, found)
    error = squared_error(X, labels, centroids)
    peer_error = squared_error(X, peer.labels_, peer.cluster_centers_.astype(np.float32))
    if error > WORSE * peer_error:
        raise NoComparisonError(
            f"balanced k-means has {error / peer_error:.3f} times the error of k-means-constrained."
        )
    return error, peer_error


def check_sizes(name: str, labels: NDArray[np.integer]) -> None:
    """Raises NoComparisonError where a cluster lies outside the bounds."""
    sizes, (low, high) = np.bincount(labels, minlength=CODES), size_bounds(len(labels), CODES)
    if not low <= sizes.min() <= sizes.max() <= high:
        raise NoComparisonError(f"{name} has clusters of {sizes.min()} to {sizes.max()}, not of {low} to {high}.")


def variance_of(X: Vectors) -> float:
    """The mean squared distance to the mean."""
    return float(X.var(axis=0, dtype=np.float64).sum())


def ratios(rounds: int = 3, iterations: int = 8) -> list[Ratio]:
    """Against k-means-constrained, an iteration on one level; against faiss, the whole index.

    Raises:
        NoComparisonError: see `checked_errors` and `check_sizes`.
    """
    (X,) = simulated_vectors(ITEMS, seed=0)
    points, (low, high) = torch.from_numpy(X), size_bounds(len(X), CODES)
    level, ours = rounds_of(
        rounds, lambda: balanced_kmeans(points, CODES, iterations, torch.Generator().manual_seed(0), "ours")
    )
    peer, theirs = rounds_of(rounds, lambda: peer_level(X, iterations, torch.Generator().manual_seed(0)))
    checked_errors(X, level, peer)
    index, whole = rounds_of(rounds, lambda: BalancedResidualKMeans(LEVELS, CODES, 0).fit(X))
    for codes in index.codes.T:
        check_sizes("balanced RQ-KMeans", codes)
    quantizer = faiss.ResidualQuantizer(X.shape[1], LEVELS, CODES.bit_length() - 1)
    _, free = rounds_of(rounds, lambda: quantizer.train(X))
    return [
        Ratio.of_rounds(
            "balanced k-means beside k-means-constrained",
            [seconds / iterations for seconds in ours],
            [seconds / iterations for seconds in theirs],
            f"{len(X)} x {X.shape[1]}, {CODES} clusters of {low} to {high}: an iteration takes "
            f"{min(ours) / iterations:.3f} s and {min(theirs) / iterations:.2f} s",
        ),
        Ratio.of_rounds(
            "balanced RQ-KMeans beside faiss, which balances nothing",
            whole,
            free,
            f"{LEVELS} levels of {CODES}: {min(whole):.1f} s and {min(free):.1f} s",
        ),
    ]


@click.command(cls=Benchmark, help=__doc__)
@click.option("--vectors", type=click.Path(exists=True, path_type=Path), help="(n, d) float32 in a .npy file.")
@click.option("--iterations", default=8, show_default=True, help="Of the comparison on the first level.")
@click.option("--levels-of-both", is_flag=True, help="Compare whole indexes too, which takes minutes.")
@click.option("--seed", default=0, show_default=True)
def main(vectors: Path | None, iterations: int, levels_of_both: bool, seed: int) -> None:
    X = np.ascontiguousarray(np.load(vectors), dtype=np.float32) if vectors else simulated_vectors(ITEMS, seed)[0]
    points, (low, high) = torch.from_numpy(X), size_bounds(len(X), CODES)
    _, product = best_of(10, lambda: points @ points[:CODES].T)
    click.echo(f"{len(X)} x {X.shape[1]}, {CODES} clusters of {low} to {high}, {torch.get_num_threads()} threads\n")

    generator = torch.Generator().manual_seed(seed)
    ours, seconds = timed(
        lambda: balanced_kmeans(points, CODES, iterations, torch.Generator().manual_seed(seed), "ours")
    )
    peer, peer_seconds = timed(lambda: peer_level(X, iterations, generator))
    error, peer_error = checked_errors(X, ours, peer)
    click.echo(f"one level, {iterations} iterations       seconds  an iteration  error")
    for name, taken, loss, rounds in (
        ("gream", seconds, error, iterations),
        ("k-means-constrained", peer_seconds, peer_error, peer.n_iter_),
    ):
        click.echo(f"  {name:<28} {taken:8.2f}  {taken / rounds:12.3f}  {loss:.5f}")
    ratio = (peer_seconds / peer.n_iter_) / (seconds / iterations)
    click.echo(f"  {ratio:.0f} times as fast an iteration, at {error / peer_error:.4f} of its error;")
    click.echo(
        f"  an iteration takes {seconds / iterations / product:.1f} times the floor of {1_000 * product:.0f} ms\n"
    )

    whole, seconds = timed(lambda: BalancedResidualKMeans(LEVELS, CODES, seed).fit(X))
    quantizer = faiss.ResidualQuantizer(X.shape[1], LEVELS, CODES.bit_length() - 1)
    _, faiss_seconds = timed(lambda: quantizer.train(X))
    packed = quantizer.compute_codes(X)
    free_codes = packed[:, :LEVELS].astype(np.int64)
    free = float(((X - quantizer.decode(packed)) ** 2).sum() / len(X)) / variance_of(X)
    indexes: list[tuple[str, float, float, NDArray[np.integer]]] = [
        ("gream, balanced", seconds, whole.residual_share, whole.codes),
        ("faiss, not balanced", faiss_seconds, free, free_codes),
    ]
    if levels_of_both:
        short, seconds = timed(lambda: BalancedResidualKMeans(LEVELS, CODES, seed, iterations).fit(X))
        (peer_codes, left), peer_seconds = timed(lambda: peer_index(X, iterations, seed))
        indexes += [
            (f"gream, {iterations} iterations", seconds, short.residual_share, short.codes),
            ("k-means-constrained, as many", peer_seconds, left, peer_codes),
        ]
    click.echo(f"{LEVELS} levels                         seconds  left over  colliding items  first level's sizes")
    for name, taken, left, codes in indexes:
        sizes = np.bincount(codes[:, 0], minlength=CODES)
        click.echo(f"  {name:<28} {taken:8.2f}  {left:9.4f}  {colliding(codes):15.2%}  {sizes.min()} to {sizes.max()}")


if __name__ == "__main__":
    main()
