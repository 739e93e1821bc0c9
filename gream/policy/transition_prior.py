"""What a policy knows beside its weights: who followed whom in its training data, as the prior of its search.

scipy and torch are imported on use: who reads only the facts of a bundle, as the HTTP API does, needs neither.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from scipy import sparse

    from gream.data.transitions import Sequences
    from gream.decoding.prior import ItemPrior

TRANSITIONS = "transitions.npz"


class PriorWeights(BaseModel):
    """How much the prior counts in each mode, see `gream.training.prior_weights`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    direct: float = Field(ge=0.0)
    reasoning: float = Field(ge=0.0)


class TransitionPrior:
    """Transition counts, read as a distribution over the next item after a history."""

    def __init__(self, counts: "sparse.csr_matrix") -> None:
        """Args:
        counts: (n_items, n_items) from `gream.data.transitions.transition_counts`.
        """
        self.counts = counts

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

    def after(self, histories: "Sequences", weight: float, exclude: "Sequences | None" = None) -> "ItemPrior":
        """The prior after each history (item numbers, oldest first), silent about the items that are excluded there."""
        from gream.data.transitions import transition_scores
        from gream.decoding.prior import ItemPrior

        return ItemPrior.of(transition_scores(histories, self.counts), weight, exclude)
