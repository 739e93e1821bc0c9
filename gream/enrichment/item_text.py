"""What is known of each item in words: the catalog's texts, cleaned and cut, and reviews that may be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from gream import columns
from gream.data.assembly import known_title
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.enrichment.untrusted import Data, clean_text

# Characters kept of each field: enough for an encoder's window, and a bound on what one item can cost.
TITLE_LENGTH: Final = 300
BRAND_LENGTH: Final = 100
CATEGORY_LENGTH: Final = 80
MAX_CATEGORIES: Final = 12
DESCRIPTION_LENGTH: Final = 2_000
REVIEW_LENGTH: Final = 600


@dataclass(frozen=True)
class ItemText:
    """An item's words, clean; an unknown field is empty."""

    title: str
    brand: str = ""
    categories: tuple[str, ...] = ()
    description: str = ""
    reviews: tuple[str, ...] = ()

    def data(self) -> Data:
        """The fields that are known, for a request to a language model."""
        fields: dict[str, Data] = {
            columns.TITLE: self.title,
            columns.BRAND: self.brand,
            columns.CATEGORIES: self.categories,
            columns.DESCRIPTION: self.description,
            "reviews": self.reviews,
        }
        return {name: value for name, value in fields.items() if value}


def item_texts(catalog: Catalog, max_reviews: int) -> list[ItemText]:
    """The words of every item, in the order of `catalog.item_ids`.

    Args:
        catalog: the shop's tables.
        max_reviews: reviews for each item, the most recent first; only reviews of training events are used.

    Raises:
        DataError: reviews are wanted and present, but no user is long enough to be split.
    """
    reviews = _training_reviews(catalog, max_reviews)
    return [item_text(row, reviews.get(row[columns.ITEM], [])) for row in catalog.items.iter_rows(named=True)]


def item_text(row: Mapping[str, Any], reviews: Sequence[str] = ()) -> ItemText:
    """The words of one row of an items table."""
    return ItemText(
        title=clean_text(known_title(row[columns.ITEM], row[columns.TITLE]), TITLE_LENGTH),
        brand=clean_text(row[columns.BRAND], BRAND_LENGTH),
        categories=_present(row[columns.CATEGORIES][:MAX_CATEGORIES], CATEGORY_LENGTH),
        description=clean_text(row[columns.DESCRIPTION], DESCRIPTION_LENGTH),
        reviews=_present(reviews, REVIEW_LENGTH),
    )


def _present(texts: Sequence[str], limit: int) -> tuple[str, ...]:
    return tuple(text for text in (clean_text(text, limit) for text in texts) if text)


def _training_reviews(catalog: Catalog, max_reviews: int) -> dict[str, list[str]]:
    if max_reviews == 0 or columns.REVIEW not in catalog.interactions.columns:
        return {}
    # A review of a held-out event would carry the answer into the test: the words of the very user, written after the
    # very purchase that is to be predicted, would shape the item's index. So a user's validation and test events, the
    # last two, give no review; what the split leaves for training does.
    train = leave_last_one_out(catalog).train
    lengths = pl.DataFrame({columns.USER: list(train), "train_length": [len(items) for items in train.values()]})
    newest = (
        catalog.interactions.with_columns(pl.int_range(pl.len()).over(columns.USER).alias("position"))
        .join(lengths, on=columns.USER)
        .filter(pl.col("position") < pl.col("train_length"), pl.col(columns.REVIEW).str.strip_chars() != "")
        .sort([columns.TIMESTAMP, columns.USER], descending=[True, False], maintain_order=True)
        .group_by(columns.ITEM, maintain_order=True)
        .agg(pl.col(columns.REVIEW).head(max_reviews))
    )
    return dict(zip(newest[columns.ITEM].to_list(), newest[columns.REVIEW].to_list(), strict=True))
