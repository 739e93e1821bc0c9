"""Balanced residual quantisation, RQ-KMeans (paper, section 3.1): level l clusters what levels before it left over."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from gream.errors import ConfigError, DataError

ITEMS_PER_CODE = 8
"""What `shrink` wants behind each code of a level: it is learned from them."""
PATHS_PER_ITEM = 48
"""What `shrink` wants of the whole tree: items that resemble each other crowd in some of its branches. MovieLens-100K
at two levels has 13 % collisions with 12 paths an item, 1 % with 49."""
CHUNK_ROWS = 65_536
"""Vectors that are copied at a time; two copies of all of them, and costs, are held."""


class BalancedResidualKMeans:
    """Codes of H levels for n vectors; the cluster sizes of every level differ by at most a few.

    Args:
        levels: H, the number of codes that an item gets.
        codebook_size: K centroids on every level, or one K for each level.
        seed: decides the initial centroids, and nothing else is random. Equal input and seed give equal codes.
        iterations: of Lloyd's algorithm, at most, on each level.
        device: torch device that does the arithmetic.

    Attributes (after `fit`):
        codes: `(n, levels)` int32, the balanced assignment of the fitted vectors.
        codebooks: one `(K, d)` float32 array for each level.
        residual_share: squared length of what the codes leave over, as a share of the variance: the quantisation error.

    >>> X = np.random.default_rng(0).normal(size=(40, 5))
    >>> model = BalancedResidualKMeans(levels=2, codebook_size=4).fit(X)
    >>> model.codes.shape, bool(np.bincount(model.codes[:, 0]).min() >= 9)
    ((40, 2), True)
    """

    def __init__(
        self,
        levels: int = 4,
        codebook_size: int | Sequence[int] = 256,
        seed: int = 0,
        iterations: int = 25,
        device: str = "cpu",
    ) -> None:
        sizes = (codebook_size,) * levels if isinstance(codebook_size, int) else tuple(codebook_size)
        if levels < 1 or iterations < 1:
            raise ConfigError(f"levels and iterations must be at least 1, got {levels} and {iterations}.")
        if len(sizes) != levels:
            raise ConfigError(f"codebook_size has {len(sizes)} sizes, but there are {levels} levels; give one each.")
        if min(sizes) < 2:
            raise ConfigError(f"codebook_size must be at least 2 on every level, got {min(sizes)}.")
        self.sizes = sizes
        self.seed = seed
        self.iterations = iterations
        self.device = device
        self.codes = np.empty((0, levels), dtype=np.int32)
        self.codebooks: list[np.ndarray] = []
        self.residual_share = float("nan")

    def fit(self, X: np.ndarray) -> "BalancedResidualKMeans":
        """Learn the codebooks from `X` `(n, d)`.

        Raises:
            ConfigError: a codebook is larger than the number of vectors.
            DataError: `X` is not a matrix of finite numbers, or has one row.
        """
        # Here, so that reading codes and giving new items theirs needs no torch.
        import torch

        from gream.indexing.balanced_kmeans import balanced_kmeans

        X = _checked(X)
        if len(X) < 2:
            raise DataError("one item cannot be told apart from others by codes; an index needs at least two.")
        if max(self.sizes) > len(X):
            raise ConfigError(
                f"codebook_size = {max(self.sizes)} is more than the {len(X)} vectors to cluster; "
                f"choose at most {len(X)} (gream.indexing.residual_kmeans.shrink proposes a size)."
            )
        generator = torch.Generator().manual_seed(self.seed)
        residual = torch.from_numpy(X.copy()).to(self.device)
        chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, len(X), CHUNK_ROWS)]
        codes, codebooks = [], []
        for level, size in enumerate(tqdm(self.sizes, desc="codebooks", unit="level")):
            labels, centroids = balanced_kmeans(residual, size, self.iterations, generator, f"level {level + 1}")
            for rows in chunks:
                residual[rows] -= centroids[labels[rows]]
            codes.append(labels.cpu().numpy().astype(np.int32))
            codebooks.append(centroids.cpu().numpy())
        self.codes, self.codebooks = np.stack(codes, axis=1), codebooks
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        variance = float(sum(np.square(X[rows] - mean).sum(dtype=np.float64) for rows in chunks))
        error = sum(float(residual[rows].square().sum(dtype=torch.float64)) for rows in chunks)
        self.residual_share = error / variance if variance > 0 else 0.0
        return self

    def transform(self, X_new: np.ndarray) -> np.ndarray:
        """Codes `(m, levels)` int32 of new vectors `(m, d)`: the nearest centroids of the frozen codebooks.

        Without the balance constraint, so for the fitted vectors themselves it may differ from `codes`.

        Raises:
            ConfigError: `fit` has not been called.
            DataError: `X_new` is not a matrix of finite numbers with as many columns as the fitted vectors.
        """
        if not self.codebooks:
            raise ConfigError("there are no codebooks yet: call fit before transform.")
        return nearest_codes(X_new, self.codebooks)


def nearest_codes(X: np.ndarray, codebooks: Sequence[np.ndarray]) -> np.ndarray:
    """Codes `(m, levels)` int32 of vectors `(m, d)`: level by level the nearest centroid to what is left over.

    Raises:
        DataError: `X` is not a matrix of finite numbers with as many columns as the codebooks.
    """
    residual = _checked(X).copy()
    if residual.shape[1] != codebooks[0].shape[1]:
        raise DataError(f"vectors have {residual.shape[1]} columns, but the codebooks {codebooks[0].shape[1]}.")
    codes = np.empty((len(residual), len(codebooks)), dtype=np.int32)
    for level, codebook in enumerate(codebooks):
        for start in range(0, len(residual), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            codes[rows, level] = centroid_costs(residual[rows], codebook).argmin(axis=1)
        residual -= codebook[codes[:, level]]
    return codes


def centroid_costs(X: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Half the squared distances `(m, K)` of vectors `(m, d)` to centroids `(K, d)`, less half their squared length."""
    costs: np.ndarray = (codebook * codebook).sum(axis=1) / 2 - X @ codebook.T
    return costs


def shrink(n_items: int, levels: int, codebook_size: int) -> int:
    """A codebook size that a catalogue can fill, at most `codebook_size`.

    A code is learned from the items that carry it, so it should have `ITEMS_PER_CODE` of them on every level; and there
    should be `PATHS_PER_ITEM` paths for each item, or items collide for lack of paths. For small catalogues both cannot
    be had, and paths win: K is the larger of (largest power of two <= n / 8) and (smallest power of two with
    K ** levels >= 48 n), but never more than half the items, and at least 2.

    >>> shrink(1_349, 2, 1_024), shrink(1_349, 3, 256), shrink(12_101, 2, 1_024), shrink(20, 3, 256)
    (256, 128, 1024, 10)
    """
    filled = 1 << max(n_items // ITEMS_PER_CODE, 1).bit_length() - 1
    roomy = 2
    while roomy**levels < PATHS_PER_ITEM * n_items:
        roomy *= 2
    return max(2, min(codebook_size, max(filled, roomy), n_items // 2))


def _checked(X: np.ndarray) -> np.ndarray:
    X = np.ascontiguousarray(X, dtype=np.float32)
    if X.ndim != 2 or X.size == 0:
        raise DataError(f"vectors must be a non-empty matrix (items, dimensions), got the shape {X.shape}.")
    if not np.isfinite(X).all():
        row = int(np.nonzero(~np.isfinite(X).all(axis=1))[0][0])
        raise DataError(f"vector {row} holds NaN or infinity; every vector must be finite.")
    return X
