"""Semantic indices: text encoders, balanced residual k-means, index tokens and their audit (paper, section 3.1)."""

from gream.indexing.residual_kmeans import BalancedResidualKMeans
from gream.indexing.semantic_index import SemanticIndex

__all__ = ["BalancedResidualKMeans", "SemanticIndex"]
