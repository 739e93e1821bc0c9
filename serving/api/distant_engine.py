"""The engine as a service of its own, on another machine than the API."""

import asyncio
from pathlib import Path
from typing import Any

from gream.errors import ArtifactError
from serving.api.remote_engine import RemoteEngine, in_our_words
from serving.catalogue_copy import is_sound, unpack
from serving.contracts import ServedPolicy


class DistantEngine(RemoteEngine):
    """A `RemoteEngine` whose bundles are not on this machine: the catalogue of each new policy is copied here."""

    def __init__(self, service: Any, copies: Path) -> None:
        """Args:
        service: what `bentoml.depends(PolicyEngineService, url=...)` resolves to.
        copies: folder that holds the copies.
        """
        super().__init__(service)
        self._copies = copies

    async def bundle(self, served: ServedPolicy) -> Path:
        """See `AsyncEngine`; a copy of the bundle, without its weights."""
        copy = self._copies / served.policy_version
        if not await asyncio.to_thread(is_sound, copy):
            with in_our_words():
                packed: str = await self._service.catalogue()
            given = await asyncio.to_thread(unpack, packed, self._copies)
            if given != copy:  # Kept all the same: the next one who is asked may name it.
                raise ArtifactError(
                    f"a replica of the engine that has policy {given.name} answered, not one with {copy.name}."
                )
        return copy
