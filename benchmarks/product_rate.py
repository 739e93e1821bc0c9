"""The rate that floors are reckoned by: that of one large matrix product on this machine."""

import torch

from benchmarks.timing import best_of

PRODUCT = 2_048
"""Rows and columns of the matrices."""


def product_rate(dtype: torch.dtype) -> float:
    """FLOP a second of a product of two matrices of this type, the best of ten."""
    matrix = torch.randn(PRODUCT, PRODUCT).to(dtype)
    _, seconds = best_of(10, lambda: matrix @ matrix)
    return 2 * PRODUCT**3 / seconds
