"""The engine as a service of its own, on another machine than the API."""

import asyncio
from pathlib import Path
from typing import Any

from gream.errors import ArtifactError
from serving.api.engine import EngineNotReadyError
from serving.api.remote_engine import RemoteEngine, in_our_words
from serving.catalogue_copy import unpack
from serving.contracts import ServedPolicy


class DistantEngine(RemoteEngine):
    """A `RemoteEngine` whose bundles are not on this machine: the catalogue of each new policy is copied here."""

    def __init__(self, service: Any, copies: Path) -> None:
        """Args:
        service: what `bentoml.depends(PolicyEngineService, url=...)` resolves to.
        copies: folder that holds the copy.
        """
        super().__init__(service)
        self._copies = copies

    async def policy(self) -> ServedPolicy:
        """See `AsyncEngine`; `bundle` is the copy's folder."""
        served = await super().policy()
        copy = self._copies / served.policy_version
        if not copy.exists():
            with in_our_words():
                packed: str = await self._service.catalogue()
            try:
                await asyncio.to_thread(unpack, packed, copy)
            except ArtifactError as error:  # Another replica answered, which has another policy just now.
                raise EngineNotReadyError(str(error)) from error
        return served.model_copy(update={"bundle": str(copy)})
