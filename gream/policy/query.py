"""What a policy is asked, in item numbers: the form in which many different requests share one batch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mode = Literal["direct", "reasoning"]


@dataclass(frozen=True)
class Query:
    """One user's request.

    Attributes:
        history: (n,) int64 item numbers, oldest first; only the most recent ones fit into the prompt.
        k: items wanted, at least 1.
        exclude: (m,) int64 numbers of items that must not come back, in any order.
    """

    history: NDArray[np.int64]
    k: int
    exclude: NDArray[np.int64]
