"""Follows the engine: whether it answers, and with which policy."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from serving.api.catalogue import PolicyCatalogue
from serving.api.engine import AsyncEngine, EngineNotReadyError
from serving.api.errors import ApiError
from serving.contracts import ServedPolicy

ANSWER_SECONDS: Final = 5.0
"""An engine that does not name its policy in this time is not ready."""
LOOK_AGAIN_SECONDS: Final = 0.5
"""Pause between looks at an engine that is not ready."""
LOST_SECONDS: Final = 300.0
"""An engine that was ready once and has not been for so long will not come back by itself."""
KEPT_SECONDS: Final = 600.0
"""A policy that no look and no answer has met for so long is served by no replica any more."""
LOOKS: Final = 8
"""For the policy that gave an answer, at most; of two replicas about every second look meets the right one."""

_LOG = logging.getLogger("gream.engine")


class PolicyWatch:
    """The catalogue of the policy that the engine serves. After a swap it follows, at the latest with the next look.

    Behind one address there may be several replicas of the engine, which swap at different moments: looks then find one
    policy and the other in turn. So the catalogue before the latest is kept too, until it has not been met for long.
    """

    def __init__(
        self, engine: AsyncEngine, poll_seconds: float, on_change: Callable[[PolicyCatalogue | None], None]
    ) -> None:
        """Args:
        engine: whom to follow.
        poll_seconds: pause between looks at an engine that is ready.
        on_change: told of each new catalogue, and of None when the engine is not ready any more.
        """
        self._engine = engine
        self._poll_seconds = poll_seconds
        self._on_change = on_change
        self._catalogue: PolicyCatalogue | None = None
        self._before: PolicyCatalogue | None = None
        self._before_met_at = -math.inf
        self._ready = False
        self._ready_at: float | None = None
        self._one_look = asyncio.Lock()
        self._doubt = asyncio.Event()
        self.engine_name = ""

    @property
    def ready(self) -> bool:
        """Whether the engine answered when it was last asked."""
        return self._ready

    @property
    def lost(self) -> bool:
        """Whether the engine was ready once, and has not been for long."""
        return not self._ready and self._ready_at is not None and time.monotonic() - self._ready_at > LOST_SECONDS

    @property
    def catalogue(self) -> PolicyCatalogue:
        """The catalogue of the policy that was served last, also while the engine is away.

        Raises:
            ApiError: `engine_not_ready`, if there has been none yet.
        """
        if self._catalogue is None:
            raise ApiError("engine_not_ready", "the policy is being loaded; try again in a moment.")
        return self._catalogue

    def served(self) -> PolicyCatalogue:
        """The catalogue of the policy that answers now.

        Raises:
            ApiError: `engine_not_ready`.
        """
        if not self._ready:
            raise ApiError("engine_not_ready", "the policy engine is being started; try again in a moment.")
        return self.catalogue

    def engine_failed(self, error: Exception) -> None:
        """A call of the engine failed: do not send more there before it has been seen to answer, and look at once.

        Args:
            error: an `EngineNotReadyError`, whose words are the API's own, or a `TimeoutError`.
        """
        if self._ready:
            _LOG.warning("the engine does not answer: %s", str(error) or type(error).__name__)
            self._ready = False
            self._on_change(None)
            self._doubt.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - only a living watch can see the engine come back.
                _LOG.error("a look at the engine broke off", exc_info=error)
            self._doubt.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds if self._ready else LOOK_AGAIN_SECONDS):
                    await self._doubt.wait()

    async def follow(self, version: str) -> PolicyCatalogue:
        """The catalogue of the policy that gave an answer: a new one where the policy was swapped in between.

        Raises:
            ApiError: `engine_not_ready`, where the engine has gone, or names another policy whenever it is asked.
        """
        if (known := self._known(version)) is not None:  # Not behind a look, which may be reading a catalogue.
            return known
        for _ in range(LOOKS):
            async with self._one_look:
                if self._known(version) is None:
                    await self._look()
            if (catalogue := self._known(version)) is not None:
                return catalogue
            if not self._ready:
                break
        raise ApiError("engine_not_ready", "the policy is being swapped just now; try again in a moment.")

    async def look(self) -> None:
        """Ask the engine for its policy, and read the catalogue where it is a new one."""
        async with self._one_look:
            await self._look()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                served = await self._engine.policy()
        except (EngineNotReadyError, TimeoutError) as error:
            self.engine_failed(error)
            return
        catalogue = self._known(served.policy_version)
        if catalogue is None:
            catalogue = await self._read(served)
        if catalogue is None:
            return
        self._ready_at = time.monotonic()
        if self._ready_at - self._before_met_at > KEPT_SECONDS:
            self._before = None
        if catalogue is not self._catalogue or not self._ready:
            _LOG.info("policy %s is served by the engine %s", catalogue.version, served.engine)
            if catalogue is not self._catalogue:
                self._catalogue, self._before = catalogue, self._catalogue
                self._before_met_at = self._ready_at
            self.engine_name, self._ready = served.engine, True
            self._on_change(catalogue)

    def _known(self, version: str) -> PolicyCatalogue | None:
        if self._before is not None and self._before.version == version:
            self._before_met_at = time.monotonic()
            return self._before
        return self._catalogue if self._catalogue is not None and self._catalogue.version == version else None

    async def _read(self, served: ServedPolicy) -> PolicyCatalogue | None:
        """The catalogue of a policy that the engine named, which may take its time; None where it cannot be had now."""
        try:
            bundle = await self._engine.bundle(served)
            return await asyncio.to_thread(PolicyCatalogue.load, bundle, served.policy_version)
        except Exception as error:  # noqa: BLE001 - whatever it is, the one before goes on, and the next look tries again.
            _LOG.error("the catalogue of policy %s cannot be read", served.policy_version, exc_info=error)
            return None
