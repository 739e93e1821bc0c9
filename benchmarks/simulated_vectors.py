"""Vectors as item texts have them: around centres of unequal popularity, of length one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 384
CLUMPS: Final = 2_000

Vectors = NDArray[np.float32]


def simulated_vectors(items: int, seed: int, views: int = 1) -> list[Vectors]:
    """`views` vectors `(items, WIDTH)` of each item, all of them around the centre that the item has."""
    random = np.random.default_rng(seed)
    shares = random.pareto(1.2, CLUMPS) + 0.1
    centres = random.standard_normal((CLUMPS, WIDTH), dtype=np.float32)
    clump = random.choice(CLUMPS, items, p=shares / shares.sum())

    def view() -> Vectors:
        vectors = random.standard_normal((items, WIDTH), dtype=np.float32)
        vectors *= 0.7
        vectors += centres[clump]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    return [view() for _ in range(views)]
