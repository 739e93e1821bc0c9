"""Does an answer rest on the items that its chain cites? Interventions on the history, one item at a time.

For each user one item that the chain cites is exchanged for another one, and, apart from that, one that the chain does
not cite; the policy then reasons and answers anew. What the chain rests on should move the answer more. Four things
would let an unfaithful policy pass, or a faithful one fail:

1) A recent item counts more than an old one, cited or not: the two lie as close to each other as the history allows.
2) What comes in may change more than what goes out: both exchanges bring the same item in.
3) An item may matter without any chain: direct mode, which has none, answers the same histories. What is left of the
   difference there is not the chain's.
4) Chance alone makes another chain: all chains of a user are sampled with the same random numbers, those of the history
   as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from gream.corpora.checks import citations
from gream.evaluation.metrics import Interval, bootstrap_interval, paired_bootstrap
from gream.evaluation.policy_evaluation import LENGTH
from gream.policy.recommendations import Recommendations

Mode = Literal["direct", "reasoning"]


class Reasoner(Protocol):
    """What is asked of a `gream.policy.policy.Policy`."""

    def recommend_batch(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        mode: Mode,
        excludes: Sequence[Sequence[str]],
        *,
        luck: Sequence[Sequence[str]],
        progress: str,
    ) -> list[Recommendations]:
        """See `Policy.recommend_batch`."""
        ...


@dataclass(frozen=True)
class Exchange:
    """Which items of one history are exchanged.

    Attributes:
        row: number of the history.
        cited: place in it of an item that the chain cites.
        uncited: place of one that it does not.
        newcomer: the item id that takes either place.
    """

    row: int
    cited: int
    uncited: int
    newcomer: str


@dataclass(frozen=True)
class Faithfulness:
    """How much of a user's list of ten is another one after an exchange, 0 to 1, of each of n users.

    Attributes:
        cited: mode -> (n,) after an item that the chain cites was exchanged.
        uncited: mode -> (n,) after another one was.
    """

    cited: dict[Mode, np.ndarray]
    uncited: dict[Mode, np.ndarray]

    def difference(self, mode: Mode) -> Interval:
        """How much more the exchange of a cited item changes."""
        return paired_bootstrap(self.cited[mode], self.uncited[mode])

    def due_to_chain(self) -> Interval:
        """The difference in reasoning mode beyond the one in direct mode."""
        beyond = [self.cited[mode] - self.uncited[mode] for mode in ("reasoning", "direct")]
        return bootstrap_interval(beyond[0] - beyond[1])


def measure_faithfulness(
    policy: Reasoner,
    tokens: dict[str, tuple[str, ...]],
    histories: Sequence[Sequence[str]],
    window: int,
    seed: int,
) -> tuple[list[Exchange], Faithfulness]:
    """Exchange items, and compare the answers with those before. Nothing that is exchanged or seen may come back.

    Args:
        policy: without a prior, which would answer to an exchange too.
        tokens: index tokens of each item of the catalogue.
        histories: item ids, oldest first.
        window: how many of the latest items a reasoning prompt holds.
        seed: of the items that come in, and of the choice among pairs equally far apart.

    Returns:
        The exchanges that could be made (a chain that cites nothing, or everything, allows none), and what they did.
    """
    random = np.random.default_rng(seed)
    newcomers = [draw_newcomer(list(tokens), history, random) for history in histories]
    excludes = [[*history, newcomer] for history, newcomer in zip(histories, newcomers, strict=True)]
    modes: tuple[Mode, Mode] = ("reasoning", "direct")
    answers = {
        mode: policy.recommend_batch(histories, LENGTH, mode, excludes, luck=histories, progress=mode) for mode in modes
    }
    found = [
        choose_exchange(row, history, answer.chain or "", tokens, window, newcomers[row], random)
        for row, (history, answer) in enumerate(zip(histories, answers["reasoning"], strict=True))
    ]
    exchanges = [exchange for exchange in found if exchange is not None]

    def changes(kind: Literal["cited", "uncited"], mode: Mode) -> np.ndarray:
        asked = [exchanged(histories[one.row], getattr(one, kind), one.newcomer) for one in exchanges]
        left_out = [excludes[one.row] for one in exchanges]
        luck = [histories[one.row] for one in exchanges]
        label = f"{mode}, {kind} items exchanged"
        after = policy.recommend_batch(asked, LENGTH, mode, left_out, luck=luck, progress=label)
        lists = [[item.item_id for item in answer] for answer in after]
        before = [[item.item_id for item in answers[mode][one.row]] for one in exchanges]
        return np.array([share_changed(a, b) for a, b in zip(before, lists, strict=True)])

    return exchanges, Faithfulness(
        cited={mode: changes("cited", mode) for mode in modes},
        uncited={mode: changes("uncited", mode) for mode in modes},
    )


def draw_newcomer(items: Sequence[str], history: Sequence[str], random: np.random.Generator) -> str:
    """An item that the history does not hold; every one is as likely."""
    left = sorted(set(items) - set(history))
    return left[int(random.integers(len(left)))]


def choose_exchange(
    row: int,
    history: Sequence[str],
    chain: str,
    tokens: dict[str, tuple[str, ...]],
    window: int,
    newcomer: str,
    random: np.random.Generator,
) -> Exchange | None:
    """The pair of a cited and an uncited item that lie closest in what the prompt holds; None where there is none.

    Args:
        row: number of the history.
        history: item ids, oldest first.
        chain: the chain's text, items cited by their index tokens.
        tokens: of each item.
        window: how many of the latest items the prompt holds.
        newcomer: the item that will come in.
        random: chooses among pairs equally far apart.
    """
    named = set(citations(chain))
    shown = range(max(0, len(history) - window), len(history))
    cited = [place for place in shown if tokens[history[place]] in named]
    pairs = [(a, b) for a in cited for b in shown if b not in cited]
    if not pairs:
        return None
    closest = min(abs(a - b) for a, b in pairs)
    near = [pair for pair in pairs if abs(pair[0] - pair[1]) == closest]
    a, b = near[int(random.integers(len(near)))]
    return Exchange(row, a, b, newcomer)


def exchanged(history: Sequence[str], place: int, newcomer: str) -> list[str]:
    """The history with another item at one place.

    >>> exchanged(["a", "b", "c"], 1, "z")
    ['a', 'z', 'c']
    """
    return [*history[:place], newcomer, *history[place + 1 :]]


def share_changed(before: Sequence[str], after: Sequence[str]) -> float:
    """The share of a list that another one does not hold.

    >>> share_changed(["a", "b", "c", "d"], ["c", "a", "e", "f"])
    0.5
    """
    return 1.0 - len({*before} & {*after}) / len(before)
