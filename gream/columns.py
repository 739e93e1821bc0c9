"""Column names of every table in the project. Nothing else spells them."""

from typing import Final

USER: Final = "user_id"
ITEM: Final = "item_id"
TIMESTAMP: Final = "timestamp"
RATING: Final = "rating"
REVIEW: Final = "review"

TITLE: Final = "title"
DESCRIPTION: Final = "description"
BRAND: Final = "brand"
CATEGORIES: Final = "categories"

RANK: Final = "rank"
SCORE: Final = "score"

PROFILE: Final = "profile"
SOURCE: Final = "source"
