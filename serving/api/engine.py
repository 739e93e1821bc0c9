"""The policy engine as the API sees it, in this process or in another one."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from serving.contracts import ChainPiece, EngineAnswer, EngineRequest, ServedPolicy


class EngineNotReadyError(Exception):
    """The engine is not there, or has no policy yet."""


class EngineBusyError(Exception):
    """The engine has no room for this request now."""


class AsyncEngine(Protocol):
    """An engine that is asked over an event loop. Time limits are the caller's."""

    async def policy(self) -> ServedPolicy:
        """The policy that answers now.

        Raises:
            EngineNotReadyError: none does.
        """
        ...

    async def bundle(self, served: ServedPolicy) -> Path:
        """A folder on this machine with the policy that `policy` named, at least what `PolicyCatalogue` reads of it.

        Raises:
            ArtifactError: another policy is served meanwhile, or by another replica of the engine; ask again.
            EngineNotReadyError: the engine went away.
        """
        ...

    async def recommend(self, requests: Sequence[EngineRequest]) -> list[EngineAnswer]:
        """Answers, in order.

        Raises:
            RequestError: the policy cannot answer one of them.
            EngineNotReadyError: the engine went away.
            EngineBusyError: too many requests wait already.
        """
        ...

    def stream(self, request: EngineRequest) -> AsyncGenerator[ChainPiece | EngineAnswer, None]:
        """Reasoning mode, piece by piece; the last thing that comes is the whole answer. Raises as `recommend`."""
        ...
