"""All baselines on one split."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gream.config import EvaluationConfig
from gream.data.split import Split
from gream.evaluation.baselines import ItemKnn, Popularity, Transitions
from gream.evaluation.cases import Cases, cases_for_validation
from gream.evaluation.ranking import CUTOFFS, Scorer, rank_histories, user_values
from gream.evaluation.sasrec import SasrecSettings, train_sasrec

VALIDATION_USERS: Final = 2_000
"""SASRec's early stopping looks at this many validation users at most."""


def evaluate_baselines(
    split: Split, item_ids: Sequence[str], cases: Cases, exclude_seen: bool, config: EvaluationConfig, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Train each baseline on the training part and measure it on the cases.

    Args:
        split: its training part is counted and trained on; its validation part stops SASRec early.
        item_ids: the catalogue, in the order of item numbers.
        cases: the users to measure on.
        exclude_seen: the protocol, see `rank_histories`.
        config: SASRec's epochs; 0 leaves it out.
        seed: of SASRec.

    Returns:
        Baseline -> metric -> `(n_users,)` values: Recall and NDCG at `CUTOFFS`.
    """
    number = {item: place for place, item in enumerate(item_ids)}
    train = [[number[item] for item in items] for items in split.train.values()]
    scorers: dict[str, Scorer] = {
        "popularity": Popularity(train, len(number)),
        "item_knn": ItemKnn(train, len(number)),
        "transitions": Transitions(train, len(number)),
    }
    if config.sasrec_epochs:
        known, wanted = cases_for_validation(split, VALIDATION_USERS, seed).numbers(number)
        validation = list(zip(known, wanted.tolist(), strict=True))
        settings = SasrecSettings(epochs=config.sasrec_epochs)
        scorers["sasrec"] = train_sasrec(train, validation, len(number), exclude_seen, settings, seed)
    histories, targets = cases.numbers(number)
    return {
        name: user_values(rank_histories(scorer, histories, max(CUTOFFS), exclude_seen, label=name), targets)
        for name, scorer in scorers.items()
    }
