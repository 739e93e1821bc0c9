"""The items as the corpora see them: index, short clean texts and the few words that describe each one."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gream import columns
from gream.data.assembly import known_title
from gream.data.catalog import Catalog
from gream.enrichment.untrusted import clean_text
from gream.errors import DataError

TITLE_CHARACTERS = 80
PROFILE_CHARACTERS = 160

_YEAR_AT_END = re.compile(r"\(((?:19|20)\d)\d\)\s*$")


class IndexEncoder(Protocol):
    """The part of a semantic index that the corpora need."""

    def encode(self, item_ids: Sequence[str]) -> list[tuple[str, ...]]:
        """Index tokens of each item."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    Attributes:
        title, profile: clean texts of at most `TITLE_CHARACTERS` and `PROFILE_CHARACTERS`, possibly empty.
        full_title: the clean title at its whole length (leak checks need it).
        tokens: its index tokens.
        categories: its telling categories, the rarest first.
        brand: empty where unknown or not telling.
        decade: like `1970s`, from a title that ends with its year; empty otherwise, or where not telling.
    """

    item_id: str
    title: str
    full_title: str
    profile: str
    tokens: tuple[str, ...]
    categories: tuple[str, ...]
    brand: str
    decade: str

    @property
    def index(self) -> str:
        """The index as it is written in prompts and answers: its tokens without anything between them."""
        return "".join(self.tokens)


def read_items(catalog: Catalog, profile_texts: Mapping[str, str], index: IndexEncoder) -> dict[str, Item]:
    """Every item of the catalogue, by id and in its order.

    Categories, brands and decades that more than half of the items carry (the shop's own department, often) tell
    nothing and are left out.

    Raises:
        DataError: an item has no profile text, or two items share an index.
    """
    frame = catalog.items
    missing = [item for item in frame[columns.ITEM] if item not in profile_texts]
    if missing:
        raise DataError(
            f"catalog {catalog.facts.dataset!r}: item {missing[0]!r} has no profile text ({len(missing)} such items); "
            "every item of the catalogue needs one."
        )
    tokens = index.encode(catalog.item_ids)
    if len(set(tokens)) < len(tokens):
        twice = Counter(tokens).most_common(1)[0][0]
        raise DataError(f"index {''.join(twice)} names more than one item; an answer must name exactly one.")

    rows = [_describe(row) for row in frame.iter_rows(named=True)]
    carriers = Counter(trait for labels, brand, decade in rows for trait in {*labels, brand, decade})
    too_common = {trait for trait, count in carriers.items() if count > len(rows) / 2}
    items = {}
    for row, (labels, brand, decade), row_tokens in zip(frame.iter_rows(named=True), rows, tokens, strict=True):
        item_id = row[columns.ITEM]
        title = clean_text(known_title(item_id, row[columns.TITLE]))
        items[item_id] = Item(
            item_id=item_id,
            title=clean_text(title, TITLE_CHARACTERS),
            full_title=title,
            profile=clean_text(profile_texts[item_id], PROFILE_CHARACTERS),
            tokens=tuple(row_tokens),
            categories=tuple(sorted(labels - too_common, key=lambda label: (carriers[label], label))),
            brand="" if brand in too_common else brand,
            decade="" if decade in too_common else decade,
        )
    return items


def _describe(row: Mapping[str, Any]) -> tuple[set[str], str, str]:
    """Categories, brand and decade of a row of the items table."""
    year = _YEAR_AT_END.search(row[columns.TITLE])
    labels = {clean_text(label) for label in row[columns.CATEGORIES]} - {""}
    return labels, clean_text(row[columns.BRAND]), f"{year.group(1)}0s" if year else ""


def dominant_traits(items: Iterable[Item], categories: int) -> list[str]:
    """What these items have in common, in a few words, the strongest first.

    Up to `categories` categories, by the number of items that carry them (rarer ones first among equals, as each item
    lists them so); then the brand and the decade that more than half of the items, and at least two, share.
    """
    items = list(items)
    labels = Counter(label for item in items for label in item.categories)
    traits = [label for label, _ in labels.most_common(categories)]
    for values in ([item.brand for item in items], [item.decade for item in items]):
        shared = Counter(filter(None, values)).most_common(1)
        if shared and shared[0][1] >= 2 and shared[0][1] * 2 > len(items):
            traits.append(shared[0][0])
    return traits
