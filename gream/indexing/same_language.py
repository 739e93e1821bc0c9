"""Whether two indexes are one language, so that a policy over the one understands the other."""

import numpy as np

from gream.indexing.semantic_index import SemanticIndex


def speaks_like(index: SemanticIndex, base: SemanticIndex) -> bool:
    """Whether a policy over `base` understands `index`.

    It does with the same vocabulary and codebooks, and the same tokens for the items of both.
    """
    if index.vocabulary != base.vocabulary or len(index.codebooks) != len(base.codebooks):
        return False
    if not all(np.array_equal(own, other) for own, other in zip(index.codebooks, base.codebooks, strict=True)):
        return False
    both = list(set(index.item_ids) & set(base.item_ids))
    return index.encode(both) == base.encode(both)
