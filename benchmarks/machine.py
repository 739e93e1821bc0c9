"""The machine that a benchmark runs on, and what floors are reckoned by: its GPU where there is one.

The two rates are measured, not read off a data sheet: that of one large matrix product, and that of one large copy.
Work of so many FLOP and bytes cannot take less time than either of them says (the roofline).
"""

from typing import Final

import torch

from benchmarks.timing import best_of

DEVICE: Final = "cuda" if torch.cuda.is_available() else "cpu"
PRODUCT: Final = 8_192 if DEVICE == "cuda" else 2_048
"""Rows and columns of the matrices."""
COPIED: Final = 2**31 if DEVICE == "cuda" else 2**28
"""Bytes that are copied; more than any cache holds."""


def name() -> str:
    """The device in words."""
    return torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def product_rate(dtype: torch.dtype) -> float:
    """FLOP a second of a product of two matrices of this type, the best of ten."""
    matrix = torch.randn(PRODUCT, PRODUCT, device=DEVICE).to(dtype)
    _, seconds = best_of(10, lambda: matrix @ matrix)
    return 2 * PRODUCT**3 / seconds


def copy_rate() -> float:
    """Bytes a second that are read and written together, the best of ten copies."""
    source = torch.zeros(COPIED, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    _, seconds = best_of(10, lambda: target.copy_(source))
    return 2 * COPIED / seconds
