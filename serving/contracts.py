"""What the parts of the online path say to each other: API <-> engine, API <-> features.

Pydantic models, because they cross process borders: the engine is a BentoML service of its own.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gream.data.text import ID_CHARACTERS
from serving.settings import ServingSettings

Mode = Literal["direct", "reasoning"]


def _no_text(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("Input should be a whole number")
    return value


WHOLE: Final = BeforeValidator(_no_text)
"""Marks an `int` that takes what JSON Schema calls an integer: 3 and 3.0, but neither "3" nor true."""


class Message(BaseModel):
    """Base of everything that is sent: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineRequest(Message):
    """One user's request, as the engine sees it: no user id, no history that the policy does not know.

    Attributes:
        history: item ids of the policy's catalogue, oldest first; may be empty.
        k: items wanted.
        mode: whether to reason before answering.
        exclude: item ids that must not come back.
        categories: only items that carry one of them (compared without case); empty means all.
        new_only: only items that were added since the policy was trained.
    """

    history: tuple[str, ...]
    k: Annotated[int, Field(ge=1)] = 10
    mode: Mode = "direct"
    exclude: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    new_only: bool = False


class RankedItem(Message):
    """One recommended item.

    Attributes:
        item_id: its id.
        title: its title.
        score: its log-probability among all items of the catalogue; filters change it only where the prior, if the
            policy has one, speaks for items that they leave out.
        tokens: its index tokens.
    """

    item_id: str
    title: str
    score: float
    tokens: tuple[str, ...]


class EngineAnswer(Message):
    """The answer to one `EngineRequest`.

    Attributes:
        items: best first; fewer than k only where fewer are allowed.
        chain: in reasoning mode the chain, items cited by index tokens.
        readable_chain: the same with titles in their place.
        cited: item ids that the chain cites, in order, each once.
        policy_version: of the policy that answered.
        batch_size: requests that were computed together.
        engine_seconds: time of that computation.
    """

    items: tuple[RankedItem, ...]
    chain: str | None = None
    readable_chain: str | None = None
    cited: tuple[str, ...] = ()
    policy_version: str
    batch_size: int
    engine_seconds: float


class ChainPiece(Message):
    """A piece of a chain while it is being sampled, for streaming; index tokens already replaced by titles."""

    text: str


class ServedPolicy(Message):
    """The policy that answers now.

    Attributes:
        policy_version: first 12 hex digits of the bundle's content digest.
        bundle: the bundle's folder on the engine's machine.
        engine: which engine computes.
    """

    policy_version: str
    bundle: str
    engine: str


Listener = Callable[[int, ChainPiece], None]
"""Told, while a batch is computed, of each piece of a chain: the request's place in the batch, and the piece."""


class PolicyEngine(Protocol):
    """What both engines (Transformers, vLLM) do; one policy, on one device."""

    @classmethod
    def batches_at_once(cls, settings: ServingSettings) -> int:
        """How many batches of one mode it is given at the same time."""
        ...

    @classmethod
    def load(cls, bundle: Path, policy_version: str) -> Self:
        """An engine for the policy in a folder.

        Raises:
            GreamError: the folder holds no sound policy.
        """
        ...

    @property
    def alive(self) -> bool:
        """Whether it can still answer; what its device runs in may have died."""
        ...

    @property
    def policy_version(self) -> str:
        """First 12 hex digits of the bundle's content digest."""
        ...

    def recommend(self, requests: Sequence[EngineRequest], listener: Listener | None = None) -> list[EngineAnswer]:
        """Answer a batch; the modes may be mixed. Up to rounding, an answer does not depend on its batch.

        Raises:
            RequestError: a history has an unknown item, or no item is left to recommend.
        """
        ...

    def close(self) -> None:
        """Let the device go; no batch may be under way."""
        ...


FIRST_CLOCK: Final = 100_000_000
"""Smaller timestamps are positions in an order, as in `gream.data.timestamps`."""


class UserHistory(Message):
    """A user as the feature store knows them.

    Attributes:
        item_ids: oldest first.
        timestamps: of the events, in seconds since 1970 (UTC) or below `FIRST_CLOCK`, aligned with `item_ids`.
    """

    item_ids: tuple[str, ...]
    timestamps: tuple[int, ...]


class FeedbackEvent(Message):
    """Something that a user did with what was shown.

    Attributes:
        event_id: chosen by the client; a second event of the same id is acknowledged and ignored.
        user_id: who.
        item_id: with what.
        kind: `click` and `purchase` extend the user's history, `impression` does not.
        timestamp: when, in seconds since 1970 (UTC).
        request_id: of the recommendation that showed the item, where there was one: the 128 characters of an
            `X-Request-ID` at most, and the place in a batch.
    """

    event_id: Annotated[str, Field(min_length=1, max_length=128)]
    user_id: Annotated[str, Field(min_length=1, max_length=ID_CHARACTERS)]
    item_id: Annotated[str, Field(min_length=1, max_length=ID_CHARACTERS)]
    kind: Literal["impression", "click", "purchase"]
    timestamp: Annotated[int, Field(ge=0, le=4_102_444_800), WHOLE]
    request_id: Annotated[str, Field(max_length=136)] | None = None


class FeatureStoreError(Exception):
    """The feature store cannot answer now; the caller degrades or retries."""


class UserFeatures(Protocol):
    """What the API needs of the feature store."""

    def histories_of(self, user_ids: Collection[str]) -> dict[str, UserHistory]:
        """The histories of these users, by their ids, read together; those whom the store does not know are left out.

        Raises:
            FeatureStoreError: the online store did not answer in time.
        """
        ...

    def push(self, events: Sequence[FeedbackEvent]) -> None:
        """Add clicks and purchases to the histories of their users; pushing an event again changes nothing.

        Raises:
            FeatureStoreError: nothing can be written now; push the same events again later.
        """
        ...
