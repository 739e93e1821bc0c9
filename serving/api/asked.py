"""What is asked for, on its way from the client to the engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.api.catalogue import PolicyCatalogue
from serving.api.models import RecommendRequest
from serving.contracts import EngineRequest


@dataclass(frozen=True)
class History:
    """A history as it came in.

    Attributes:
        item_ids: oldest first, known to the policy or not.
        last_at: when its last event happened, in seconds since 1970 (UTC); None without one, or without its time.
        degraded: why it is less than the user's history; None where it is not.
    """

    item_ids: Sequence[str]
    last_at: int | None = None
    degraded: str | None = None


@dataclass(frozen=True)
class Ask:
    """One recommendation that is asked for.

    Attributes:
        request_id: of its answer.
        request: as it came in.
        history: the request's own, or its user's.
    """

    request_id: str
    request: RecommendRequest
    history: History


@dataclass(frozen=True)
class Prepared:
    """An ask as the engine gets it.

    Attributes:
        ask: what is asked for.
        request: for the engine; None where no item is left that could be recommended.
        ignored: items of the history that the policy does not know, each once.
        catalogue: by which all this was decided.
    """

    ask: Ask
    request: EngineRequest | None
    ignored: tuple[str, ...]
    catalogue: PolicyCatalogue
