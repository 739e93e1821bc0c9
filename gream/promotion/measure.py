"""What the gate measures: two policies on the same users, and their answering times to the same requests."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gream.errors import ConfigError
from gream.evaluation.cases import Cases
from gream.evaluation.metrics import ndcg_at_k, recall_at_k
from gream.policy.recommendations import Recommendations

METRICS: Final = {"ndcg": ndcg_at_k, "recall": recall_at_k}

WARM_UP: Final = 3
"""Requests that are answered before the clock runs."""
TIMED_REQUESTS: Final = 100
TRIES: Final = 3
"""For each timed request; the quickest counts, since what else a machine does is no property of a policy."""

Array = NDArray[np.float64]


class Ranker(Protocol):
    """What is asked of a `gream.policy.policy.Policy`."""

    def recommend_batch(
        self,
        histories: Sequence[Sequence[str]],
        k: int = ...,
        *,
        excludes: Sequence[Sequence[str]] | None = ...,
        progress: str = ...,
    ) -> list[Recommendations]:
        """See `Policy.recommend_batch`."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A policy as it will serve: its own beams and prior, histories without items that it does not know.

    Attributes:
        name: for progress bars.
        policy: the policy.
        items: ids that it can recommend.
    """

    name: str
    policy: Ranker
    items: frozenset[str]

    def lists(self, cases: Cases, exclude_seen: bool, k: int, progress: bool = True) -> list[list[str]]:
        """The `k` best items of each user in direct mode."""
        histories = [[item for item in history if item in self.items] for history in cases.histories]
        label = f"{self.name}: hold-out" if progress else ""
        answers = self.policy.recommend_batch(histories, k, excludes=cases.seen(exclude_seen), progress=label)
        return [[item.item_id for item in answer] for answer in answers]


def list_length(metric: str) -> int:
    """The k of a metric such as `ndcg@10`.

    Raises:
        ConfigError: it is not one of a ranked list.
    """
    name, _, k = metric.partition("@")
    if name not in METRICS or not k.isdecimal() or int(k) < 1:
        raise ConfigError(f"the gate's metric {metric!r} is not allowed; allowed are ndcg@K and recall@K.")
    return int(k)


def case_values(metric: str, lists: Sequence[Sequence[str]], targets: Sequence[str]) -> Array:
    """`(n,)` the metric of each user's list. What a policy cannot recommend is never in its list, and counts 0.

    >>> case_values("ndcg@2", [["a", "b"], ["a", "b"]], ["a", "new"]).tolist()
    [1.0, 0.0]
    """
    k, of = list_length(metric), METRICS[metric.partition("@")[0]]
    return np.array([of(items, target, k) for items, target in zip(lists, targets, strict=True)])


def answering_times(
    first: Candidate, second: Candidate, cases: Cases, exclude_seen: bool, k: int
) -> tuple[Array, Array]:
    """Seconds for one answer at a time, in turn from both and in changing order: what slows the machine slows both.

    Args:
        first: one policy.
        second: the other.
        cases: the requests, of which the first `TIMED_REQUESTS` are asked.
        exclude_seen: as for the lists.
        k: items of an answer.

    Returns:
        `(n,)` and `(n,)`.
    """
    both = (first, second)
    requests = [_only(cases, row) for row in range(min(TIMED_REQUESTS, len(cases.users)))]

    def seconds(candidate: Candidate, request: Cases) -> float:
        start = time.perf_counter()
        candidate.lists(request, exclude_seen, k, progress=False)
        return time.perf_counter() - start

    for request in requests[:WARM_UP]:
        for candidate in both:
            seconds(candidate, request)
    quickest: tuple[list[float], list[float]] = ([], [])
    for request in tqdm(requests, desc="answering times", unit="request"):
        tries: tuple[list[float], list[float]] = ([], [])
        for turn in range(TRIES):
            for place in (0, 1) if turn % 2 == 0 else (1, 0):
                tries[place].append(seconds(both[place], request))
        for times, taken in zip(quickest, tries, strict=True):
            times.append(min(taken))
    return np.array(quickest[0]), np.array(quickest[1])


def _only(cases: Cases, row: int) -> Cases:
    return Cases([cases.users[row]], [cases.histories[row]], [cases.targets[row]])
