"""Going back: the versions that a pointer comes to, one after the other, when it is rolled back."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class _Named(Protocol):
    @property
    def digest(self) -> str: ...


State = TypeVar("State", bound=_Named)


def way_back(history: Iterable[State]) -> list[State]:
    """The present state, and after it those that rollbacks go to.

    Going back is a move too, and a version that was left that way is not an earlier one: of A, B, back to A, there is
    nothing before A; of A, B, C, back to B, it is A.

    Args:
        history: all states, the present one first.
    """
    line: list[State] = []
    for state in reversed(list(history)):
        digests = [one.digest for one in line]
        line = [*line[: digests.index(state.digest)], state] if state.digest in digests else [*line, state]
    return line[::-1]
