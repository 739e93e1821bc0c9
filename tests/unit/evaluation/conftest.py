"""A whole run's metrics, made of per-user values that are easy to reason about."""

import numpy as np
import pytest

from gream.evaluation.results import EvaluationProtocol, IndexSummary, Metrics, Signs, TwoModes
from gream.evaluation.user_values import UserValues

USERS = 400
BASELINES = ("popularity", "item_knn", "transitions", "sasrec")


def share(hits):
    """Recall and NDCG of a system that puts the target first for the first `hits` users and misses the others."""
    first = (np.arange(USERS) < hits).astype(float)
    return dict.fromkeys(("recall@5", "recall@10", "ndcg@5", "ndcg@10"), first)


def passes(hits):
    return {f"pass@{k}": (np.arange(USERS) < hits * k / 10).astype(float) for k in (1, 5, 10)}


@pytest.fixture
def make_metrics():
    """Metrics from the number of users (of 400) that each system serves well; anything else by keyword."""

    def make(
        direct=120,
        reasoning=100,
        sft_direct=120,
        sft_reasoning=80,
        popularity=30,
        transitions=80,
        sasrec=120,
        **changes,
    ):
        values = UserValues(
            users=[f"u{number}" for number in range(USERS)],
            systems={
                "direct": share(direct),
                "reasoning": passes(reasoning) | share(reasoning),
                "sft_direct": share(sft_direct),
                "sft_reasoning": passes(sft_reasoning) | share(sft_reasoning),
                "popularity": share(popularity),
                "item_knn": share(60),
                "transitions": share(transitions),
                "sasrec": share(sasrec),
            },
        )
        parts = {
            "dataset": "films",
            "profile": "laptop",
            "seed": 7,
            "protocol": EvaluationProtocol(
                exclude_seen=True, users=USERS, items=1_234, beams=20, chains=10, resamples=300
            ),
            "direct": values.intervals("direct", 300),
            "reasoning": values.intervals("reasoning", 300),
            "sft": TwoModes(
                direct=values.intervals("sft_direct", 300), reasoning=values.intervals("sft_reasoning", 300)
            ),
            "baselines": {name: values.intervals(name, 300) for name in BASELINES},
            "comparisons": values.comparisons(300),
            "legal_item_share": 1.0,
            "index": IndexSummary(
                collision_rate=0.02,
                title_only_collision_rate=0.06,
                minimal_items=31,
                minimal_collision_rate=None,
                minimal_title_only_collision_rate=None,
            ),
            "signs": Signs(chains_off_history=0.01, unfinished_chains=0.0, zero_variance_groups=0.2),
            "seconds": {"ingest": 2.0, "sft": 90.0},
        }
        return Metrics(**(parts | changes))

    return make
