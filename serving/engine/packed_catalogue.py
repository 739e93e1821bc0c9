"""The catalogue that the engine hands out, packed once for all who ask: of 10^6 items that takes .4 GB and more."""

import asyncio
from pathlib import Path

from serving.catalogue_copy import pack


class PackedCatalogue:
    """The packed catalogue of the policy that was asked for last. Of one event loop."""

    def __init__(self) -> None:
        self._bundle: Path | None = None
        self._packing: asyncio.Task[str] | None = None

    async def of(self, bundle: Path) -> str:
        """What `pack` makes of a bundle; the one before is let go.

        Raises:
            OSError: the bundle cannot be read; whoever asks next has it tried again.
        """
        if self._packing is None or bundle != self._bundle:
            self._bundle, self._packing = bundle, asyncio.create_task(asyncio.to_thread(pack, bundle))
        packing = self._packing
        try:
            return await asyncio.shield(packing)  # An API that goes away leaves the others theirs.
        except Exception:
            if self._packing is packing:
                self._packing = None
            raise
