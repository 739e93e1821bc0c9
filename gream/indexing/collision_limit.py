"""How many items of an index may share all their codes with another: a share, or what it cannot do without.

Items that are added by frozen codebooks collide more and more, and a new index mends that. What an index has had from
the beginning, by its settings and its texts, no new one mends: where that is near the limit or above it, a quarter more
is allowed. Otherwise such an index would be made anew for ever, and no challenger could take the champion's place.
"""

from dataclasses import replace
from typing import Final

from gream.indexing.audit import CollisionAudit
from gream.indexing.semantic_index import SemanticIndex

AUDIT: Final = "audit"
"""Entry of an index's facts that holds its collision audit, so that it travels with the index."""
AS_MADE: Final = "collision_rate_as_made"
"""Entry of the rate that the index had before items were added."""

COLLISION_LIMIT: Final = 0.05
"""The paper claims a rate below this."""
GROWTH: Final = 1.25


def with_audit(index: SemanticIndex, audit: CollisionAudit) -> SemanticIndex:
    """The index with its newest audit among its facts; the rate of its first one stays."""
    first = rate_as_made(index) if AUDIT in index.facts else audit.collision_rate
    return replace(index, facts=index.facts | {AS_MADE: first, AUDIT: audit.to_dict()})


def rate_as_made(index: SemanticIndex) -> float:
    """The rate that an index had when it was made; 0 where it was never audited."""
    audit = index.facts.get(AUDIT, {"collision_rate": 0.0})
    return float(index.facts.get(AS_MADE, audit["collision_rate"]))


def collisions_allowed(limit: float, standing: float) -> float:
    """The share from which on collisions are too many, beside an index that has `standing` without being to blame.

    >>> collisions_allowed(0.05, 0.01), collisions_allowed(0.05, 0.08)
    (0.05, 0.1)
    """
    return max(limit, GROWTH * standing)
