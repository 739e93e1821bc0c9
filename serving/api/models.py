"""Bodies of the HTTP API. Limits that a platform sets (`max_k`, ...) are checked beside these, in the routes."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from gream.data.text import ID_CHARACTERS
from serving.contracts import WHOLE, FeedbackEvent, Message, Mode

ItemId = Annotated[str, Field(min_length=1, max_length=ID_CHARACTERS)]
UserId = Annotated[str, Field(min_length=1, max_length=ID_CHARACTERS)]
Category = Annotated[str, Field(min_length=1, max_length=256)]

FIRST_ERROR: Final = Field(fail_fast=True)
"""Marks an array that is read no further than its first error: a body has room for half a million of them, and the
client is told one."""


class RecommendRequest(Message):
    """Whom to recommend to, and what."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["user_id"], "properties": {"user_id": {"type": "string"}, "history": {"type": "null"}}},
                {"required": ["history"], "properties": {"history": {"type": "array"}, "user_id": {"type": "null"}}},
            ],
            "examples": [{"history": ["50", "172"], "k": 5}],
        }
    )

    user_id: UserId | None = None
    """History from the feature store. Give this or `history`, not both."""
    history: Annotated[list[ItemId], FIRST_ERROR] | None = None
    """Item ids, oldest first."""
    k: Annotated[int, Field(ge=1), WHOLE] = 10
    mode: Mode = "direct"
    exclude_seen: Annotated[bool, Field(strict=True)] = True
    """Whether items of the history are left out."""
    exclude: Annotated[tuple[ItemId, ...], FIRST_ERROR] = ()
    categories: Annotated[tuple[Category, ...], FIRST_ERROR] = ()
    """Only items that carry one of them; empty means all."""
    new_only: Annotated[bool, Field(strict=True)] = False
    """Only items that were added since the policy was trained: it ranks them well among themselves, and hardly ever
    above those that it knows."""

    @model_validator(mode="after")
    def one_source(self) -> "RecommendRequest":
        """A history comes from one place."""
        if (self.user_id is None) == (self.history is None):
            raise ValueError("give either user_id or history, not both and not neither")
        return self


class Why(Message):
    """Why an item is here, checkable against the history: the history item that shares most of its index.

    `because` is None where no item of the history shares the first level.
    """

    text: str
    because: str | None = None
    shared_levels: int = 0


class RecommendedItem(Message):
    """One item of an answer, best first; `score` is a log-probability over the whole catalogue."""

    item_id: str
    title: str
    score: float
    tokens: tuple[str, ...]
    categories: tuple[str, ...] = ()
    why: Why


class Reasoning(Message):
    """The chain of reasoning mode: raw, with titles, and the history items that it cites."""

    chain: str
    readable: str
    cited: tuple[str, ...]


class RecommendResponse(Message):
    """An answer. `degraded` says whether it is less than what was asked for, `degraded_reason` in which way."""

    request_id: str
    policy_version: str
    mode: Mode
    items: tuple[RecommendedItem, ...]
    reasoning: Reasoning | None = None
    degraded: bool = False
    degraded_reason: str | None = None
    ignored_items: tuple[str, ...] = ()
    """Items of the history that the policy does not know; they were left out."""


class BatchRequest(Message):
    """Several requests at once."""

    requests: Annotated[list[RecommendRequest], Field(min_length=1), FIRST_ERROR]


class BatchResponse(Message):
    """Their answers, in order."""

    responses: list[RecommendResponse]


class FeedbackRequest(Message):
    """Events to keep."""

    events: Annotated[list[FeedbackEvent], Field(min_length=1, max_length=1_000)]


class FeedbackResponse(Message):
    """What became of them: all are durable; `duplicates` were so before."""

    accepted: int
    duplicates: int


class ItemView(Message):
    """An item of the served catalogue."""

    item_id: str
    title: str
    description: str = ""
    brand: str = ""
    categories: tuple[str, ...] = ()
    tokens: tuple[str, ...]


class ItemsView(Message):
    """Items that a search found, the best first."""

    items: tuple[ItemView, ...]


class UsersView(Message):
    """Some user ids."""

    users: tuple[str, ...]


class HistoryEntry(Message):
    """One event of a user's history."""

    item_id: str
    title: str | None = None
    """None where the served policy does not know the item."""
    tokens: tuple[str, ...] = ()
    timestamp: int


class HistoryView(Message):
    """A user's history, oldest first."""

    user_id: str
    entries: tuple[HistoryEntry, ...]


class PolicyView(Message):
    """The policy that is served."""

    policy_version: str
    engine: str
    dataset: str
    profile: str
    stage: str
    items: int
    model_card: str
    """Markdown."""
    metrics: dict[str, object]


class Liveness(Message):
    """This server is alive."""

    status: Literal["alive"] = "alive"


class Readiness(Message):
    """This server answers recommendations, with this policy; the feature store is reported, not required."""

    status: Literal["ready"] = "ready"
    policy_version: str
    features: Literal["up", "down"]


class ErrorBody(Message):
    """Every error has this body: a stable code, one sentence, the request's id."""

    code: str
    message: str
    request_id: str
