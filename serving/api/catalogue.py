"""The policy that is served, as far as the API needs it: its items, their index tokens, its card. No weights."""

import unicodedata
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from pathlib import Path

import polars as pl

from gream import columns
from gream.artifacts import VERSION_DIGITS, content_digest, open_artifact
from gream.errors import ArtifactError
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX, ITEMS, KIND, PolicyFacts, read_facts
from serving.api.models import ItemView
from serving.filters import ItemFilters


class PolicyCatalogue:
    """The catalogue and the facts of one policy bundle.

    Attributes:
        version: first hex digits of the bundle's content digest.
        levels: codes of an item; a token behind them is its ordinal.
        facts: what the policy was trained with.
        model_card: Markdown.
    """

    def __init__(
        self, version: str, items: pl.DataFrame, index: SemanticIndex, facts: PolicyFacts, model_card: str
    ) -> None:
        self.version = version
        self.levels = len(index.level_sizes)
        self.facts = facts
        self.model_card = model_card
        self._items = items
        self._ids: list[str] = items[columns.ITEM].to_list()
        self._titles: list[str] = items[columns.TITLE].to_list()
        self._categories: list[list[str]] = items[columns.CATEGORIES].to_list()
        self._tokens = index.encode(self._ids)
        self._level1 = dict(zip(index.item_ids, index.codes[:, 0].tolist(), strict=True))
        self._row = {item_id: row for row, item_id in enumerate(self._ids)}
        self._plain_titles = [_plain(title) for title in self._titles]
        self._filters = ItemFilters(items, facts.added_items)

    @classmethod
    def load(cls, folder: Path, version: str) -> "PolicyCatalogue":
        """Read a bundle.

        Raises:
            ArtifactError: no complete bundle of this version stands there (any more).
        """
        open_artifact(folder, KIND)
        found = content_digest(folder)[:VERSION_DIGITS]
        if found != version:
            raise ArtifactError(f"{folder} holds policy {found}, not {version}.")
        return cls(
            version=version,
            items=pl.read_parquet(folder / ITEMS),
            index=SemanticIndex.load(folder / INDEX),
            facts=read_facts(folder),
            model_card=(folder / "README.md").read_text(encoding="utf-8"),
        )

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._row

    def __len__(self) -> int:
        return len(self._ids)

    def title(self, item_id: str) -> str:
        """Title of an item of the catalogue."""
        return self._titles[self._row[item_id]]

    def tokens(self, item_id: str) -> tuple[str, ...]:
        """Index tokens of an item of the catalogue."""
        return self._tokens[self._row[item_id]]

    def level1(self, item_id: str) -> int:
        """First code of an item of the catalogue, from 0 up."""
        return self._level1[item_id]

    def categories(self, item_id: str) -> tuple[str, ...]:
        """Categories of an item of the catalogue."""
        return tuple(self._categories[self._row[item_id]])

    def item(self, item_id: str) -> ItemView:
        """An item of the catalogue with all that is known of it."""
        row = self._row[item_id]
        texts = self._items.row(row, named=True)
        return ItemView(
            item_id=item_id,
            title=self._titles[row],
            description=texts[columns.DESCRIPTION],
            brand=texts[columns.BRAND],
            categories=tuple(self._categories[row]),
            tokens=self._tokens[row],
        )

    def split_known(self, item_ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """Items that the catalogue holds, and those that it does not, each in order."""
        known: list[str] = []
        unknown: list[str] = []
        for item_id in item_ids:
            (known if item_id in self._row else unknown).append(item_id)
        return known, unknown

    def leaves_something(self, exclude: Iterable[str], categories: Sequence[str], new_only: bool) -> bool:
        """Whether any item remains that passes the filters of an `EngineRequest` and is not excluded."""
        # On the event loop, for each request of a batch: nothing here may go through the catalogue.
        excluded = {self._row[item_id] for item_id in exclude if item_id in self._row}
        return self._filters.leave(categories, new_only, excluded)

    def search(self, query: str, limit: int) -> list[str]:
        """Ids of items whose titles hold every word of a query, in any order, without regard to case and accents.

        Titles in which the first word stands earliest come first, of those the shortest. An empty query finds the
        first items of the catalogue.
        """
        words = _plain(query).split()
        if not words:
            return self._ids[:limit]
        titles = self._plain_titles
        rows: Sequence[int] = range(len(titles))
        for word in _telling(words):
            rows = [row for row in rows if word in titles[row]]
        found = ((titles[row].index(words[0]), len(titles[row]), row) for row in rows)
        return [self._ids[row] for _, _, row in nsmallest(limit, found)]


def _telling(words: Iterable[str]) -> list[str]:
    """The words that decide whether a title holds them all, the longest first: after it the fewest titles are left.

    >>> _telling(["star", "a", "stars", "a"])
    ['stars']
    """
    telling: list[str] = []
    for word in sorted(set(words), key=lambda word: (-len(word), word)):
        if not any(word in longer for longer in telling):
            telling.append(word)
    return telling


def _plain(text: str) -> str:
    """Text without case and accents.

    >>> _plain("Amélie (2001)")
    'amelie (2001)'
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
