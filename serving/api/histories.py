"""Histories from the feature store, read off the event loop and with a time limit."""

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from serving.contracts import FeatureStoreError, UserFeatures, UserHistory

THREADS: Final = 16
NOBODY: Final = "gream-probe"
"""The user that `probe` asks for; it need not exist."""

_LOG = logging.getLogger("gream.features")


class Histories:
    """Reads histories."""

    def __init__(self, features: UserFeatures, timeout_seconds: float, on_outcome: Callable[[bool], None]) -> None:
        """Args:
        features: where they are.
        timeout_seconds: how long a read may take.
        on_outcome: told of each read whether the store answered.
        """
        self._features = features
        self._timeout_seconds = timeout_seconds
        self._on_outcome = on_outcome
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="features")

    async def read(self, user_ids: Collection[str]) -> dict[str, UserHistory]:
        """Histories of users, by their ids; those whom the store does not know are left out.

        However many they are, it is one read: reads of their own would wait for each other within their time limits.

        Raises:
            FeatureStoreError: the store failed, or did not answer in time.
        """
        answered = False
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._features.histories_of, user_ids)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await call
            answered = True
            return found
        except FeatureStoreError:
            raise
        except TimeoutError as error:
            raise FeatureStoreError(f"no answer in {self._timeout_seconds} seconds.") from error
        except Exception as error:  # Whatever it is, it is no reason to refuse a recommendation.
            _LOG.error("the feature store failed in a way that is not foreseen", exc_info=error)
            raise FeatureStoreError("the feature store failed.") from error
        finally:
            self._on_outcome(answered)

    async def probe(self) -> bool:
        """Whether the store answers now."""
        try:
            await self.read([NOBODY])
        except FeatureStoreError:
            return False
        return True

    def close(self) -> None:
        """Let the threads go; one that waits for the store is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
