"""One of several equal parts of a stage's work, for machines that do them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from gream.errors import ConfigError

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Share:
    """Part `number` (from 0) of `count`."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise ConfigError(
                f"share {self.number} of {self.count} does not exist: shares are at least 1, and counted from 0."
            )

    def __str__(self) -> str:
        return f"share {self.number + 1} of {self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether there is no other share."""
        return self.count == 1

    def block(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Its run of consecutive entries; the blocks of all shares in a row are `entries`.

        >>> [Share(number, 3).block("abcde") for number in range(3)]
        ['a', 'bc', 'de']
        """
        total = len(entries)
        return entries[total * self.number // self.count : total * (self.number + 1) // self.count]


WHOLE: Final = Share(0, 1)
