"""What a policy knows beside its weights: who followed whom in its training data, as the prior of its search.

scipy and torch are imported on use: who reads only the facts of a bundle, as the HTTP API does, needs neither.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy import sparse

    from gream.data.transitions import Sequences
    from gream.decoding.item_filter import ItemFilter
    from gream.decoding.prior import ItemPrior

TRANSITIONS = "transitions.npz"
LONGEST_ROW: Final = 2_048
"""Counts that are kept of what stood near one item: those of a popular one would be a large part of the catalogue, and
each request that names it would pay for them."""
SHORTEST_ROW: Final = 64
"""As many are kept of each item, however large the catalogue."""
COUNTS: Final = 500_000_000
"""Counts of all items together, at 12 bytes each, which rows of a large catalogue are shortened for."""
BONUSES: Final = 10_000
"""Items that have a bonus in one request, those with the highest."""


class PriorWeights(BaseModel):
    """How much the prior counts in each mode, see `gream.training.prior_weights`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    direct: float = Field(ge=0.0)
    reasoning: float = Field(ge=0.0)


class TransitionPrior:
    """Transition counts, read as a distribution over the next item after a history.

    Attributes:
        counts: (n_items, n_items), of each row the largest.
    """

    def __init__(self, counts: "sparse.csr_matrix") -> None:
        """Args:
        counts: (n_items, n_items) from `gream.data.transitions.transition_counts`.
        """
        from gream.data.transitions import largest_counts

        row = min(LONGEST_ROW, max(SHORTEST_ROW, COUNTS // counts.shape[0]))
        self.counts = largest_counts(counts, row)

    @classmethod
    def load(cls, folder: Path, n_items: int) -> "TransitionPrior":
        """Read it from a bundle; items added after training have no counts."""
        from scipy import sparse

        counts = sparse.load_npz(folder / TRANSITIONS).tocsr()
        counts.resize((n_items, n_items))
        return cls(counts)

    def save(self, folder: Path) -> None:
        """Write it into a bundle."""
        from scipy import sparse

        sparse.save_npz(folder / TRANSITIONS, self.counts)

    def after(
        self,
        histories: "Sequences",
        weight: float,
        exclude: "Sequences | None" = None,
        filters: "Sequence[ItemFilter | None]" = (),
    ) -> "ItemPrior":
        """The prior after each history (item numbers, oldest first), silent about what is left out there."""
        from gream.data.transitions import largest_counts, transition_scores
        from gream.decoding.prior import ItemPrior

        everything = ItemPrior.of(transition_scores(histories, self.counts), weight, exclude, filters)
        return ItemPrior(largest_counts(everything.bonus, BONUSES))
