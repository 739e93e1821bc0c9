"""What a policy answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True)
class ScoredItem:
    """A recommended item.

    Attributes:
        item_id: its id.
        title: its title.
        score: its log-probability among all items of the catalogue.
        tokens: its index tokens.
    """

    item_id: str
    title: str
    score: float
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Recommendations(Sequence[ScoredItem]):
    """Items, best first.

    Attributes:
        items: the items.
        chain: in reasoning mode the text between `<think>` and `</think>`, items cited by their index tokens.
        readable_chain: the same with titles in their place.
    """

    items: tuple[ScoredItem, ...]
    chain: str | None = None
    readable_chain: str | None = None

    @overload
    def __getitem__(self, index: int) -> ScoredItem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ScoredItem]: ...
    def __getitem__(self, index: int | slice) -> ScoredItem | Sequence[ScoredItem]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ScoredItem]:
        return iter(self.items)


@dataclass(frozen=True)
class ReasonedAnswer:
    """One chain and the one item it led to.

    Attributes:
        item_id: the answer.
        chain: the chain's text, items cited by their index tokens.
        finished: False where the chain ran into the length limit and was closed by force.
        unaided: probability that the chain would have kept to its history without being made to.
    """

    item_id: str
    chain: str
    finished: bool
    unaided: float
