"""One line of the table that `make bench` writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gream.errors import GreamError


class NoComparisonError(GreamError):
    """What was timed is not the same work: results differ by more than they may, or requests were not answered."""


@dataclass(frozen=True)
class Ratio:
    """What one benchmark measured against its peer.

    Attributes:
        name: of the comparison.
        ratio: how many times as fast as the peer; above 1 is better.
        low: smallest over the rounds of this run.
        high: largest.
        detail: what the figures were, in words.
    """

    name: str
    ratio: float
    low: float
    high: float
    detail: str

    @classmethod
    def of_rounds(cls, name: str, ours: Sequence[float], peers: Sequence[float], detail: str) -> "Ratio":
        """The median of the rounds' ratios.

        Args:
            name: of the comparison.
            ours: seconds of each round.
            peers: seconds of the peer in the same rounds.
            detail: see the class.
        """
        ratios = [peer / own for own, peer in zip(ours, peers, strict=True)]
        return cls(name, median(ratios), min(ratios), max(ratios), detail)
