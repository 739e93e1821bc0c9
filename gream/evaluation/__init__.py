"""Evaluation: item-level metrics with intervals, baselines on the same split, and what a reader is told of them."""
