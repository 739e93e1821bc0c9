"""Leave-last-one-out: each user's last item tests, the one before validates, the rest trains (paper, section 4)."""

from dataclasses import dataclass

from gream.data.catalog import Catalog
from gream.errors import DataError

MINIMUM_LENGTH = 3
"""A user needs this many events to give one to each part; shorter histories only train."""


@dataclass(frozen=True)
class Split:
    """Attributes:
    train: every user's items in time order, without their validation and test items.
    validation: user -> the item before the last.
    test: user -> the last item.
    """

    train: dict[str, list[str]]
    validation: dict[str, str]
    test: dict[str, str]

    def validation_history(self, user: str) -> list[str]:
        """What is known when the validation item is to be predicted."""
        return self.train[user]

    def test_history(self, user: str) -> list[str]:
        """What is known when the test item is to be predicted: the training part and the validation item."""
        return [*self.train[user], self.validation[user]]


def leave_last_one_out(catalog: Catalog) -> Split:
    """Split a catalog by time within each user.

    Raises:
        DataError: no user has the three events that a split needs.
    """
    train: dict[str, list[str]] = {}
    validation: dict[str, str] = {}
    test: dict[str, str] = {}
    for user, items in catalog.sequences().items():
        if len(items) < MINIMUM_LENGTH:
            train[user] = items
            continue
        train[user], validation[user], test[user] = items[:-2], items[-2], items[-1]
    if not test:
        raise DataError(
            f"catalog {catalog.facts.dataset!r}: no user has {MINIMUM_LENGTH} or more events, so nothing can be held "
            "out for validation and test."
        )
    return Split(train, validation, test)
