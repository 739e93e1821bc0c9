"""One at a time pushes: a push reads a row, changes it and writes it back, and Feast has no transaction for that.

Replicas that share a Redis share a lock in it; processes that share a sqlite file share a lock file beside it.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from feast import FeatureStore

from serving.features.store import features_folder
from serving.settings import ServingSettings

_KEY: Final = "gream:pushing"
_HELD_SECONDS: Final = 5.0
"""After which Redis takes the lock from a process that died with it; far more than a push takes."""
_WAIT_SECONDS: Final = 10.0
"""Long enough to outlast such a process."""
_LOOK_SECONDS: Final = 0.01


@contextmanager
def pushing_alone(store: FeatureStore, settings: ServingSettings) -> Iterator[None]:
    """No other thread or process is inside at the same time.

    Raises:
        RedisError: Redis does not answer, the lock stays taken, or it was lost before the end: push again.
    """
    if settings.online_store == "redis":
        client = store.provider.online_store._get_client(store.config.online_store)
        with client.lock(_KEY, timeout=_HELD_SECONDS, blocking_timeout=_WAIT_SECONDS, sleep=_LOOK_SECONDS):
            yield
    else:
        with (features_folder(settings) / "pushing.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
